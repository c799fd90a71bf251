// `culprit history`.
#pragma once

#include <memory>

#include "cli/command.h"

namespace culprit::cli {

std::unique_ptr<Command> make_history_command();

}  // namespace culprit::cli
