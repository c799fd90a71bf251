// `culprit batch`: many reproducers or recordings, each in a process of its own.
#pragma once

#include <memory>

#include "cli/command.h"

namespace culprit::cli {

std::unique_ptr<Command> make_batch_command();

}  // namespace culprit::cli
