// `culprit completion`: what a shell needs to complete this command line.
#pragma once

#include <memory>

#include "cli/command.h"

namespace culprit::cli {

std::unique_ptr<Command> make_completion_command();

}  // namespace culprit::cli
