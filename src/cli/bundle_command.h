// `culprit bundle`.
#pragma once

#include <memory>

#include "cli/command.h"

namespace culprit::cli {

std::unique_ptr<Command> make_bundle_command();

}  // namespace culprit::cli
