// `culprit triage`.
#pragma once

#include <memory>

#include "cli/command.h"

namespace culprit::cli {

std::unique_ptr<Command> make_triage_command();

}  // namespace culprit::cli
