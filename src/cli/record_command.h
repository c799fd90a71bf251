#pragma once

#include <memory>

#include "cli/command.h"

namespace culprit::cli {

/// `culprit record`: run a command under rr until it fails and keep that trace.
std::unique_ptr<Command> make_record_command();

}  // namespace culprit::cli
