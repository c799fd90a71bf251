// `culprit ci`: runs a test as it is, and explains it if it fails.
#pragma once

#include <memory>

#include "cli/command.h"

namespace culprit::cli {

std::unique_ptr<Command> make_ci_command();

}  // namespace culprit::cli
