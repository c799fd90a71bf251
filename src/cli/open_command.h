// `culprit open`.
#pragma once

#include <memory>

#include "cli/command.h"

namespace culprit::cli {

std::unique_ptr<Command> make_open_command();

}  // namespace culprit::cli
