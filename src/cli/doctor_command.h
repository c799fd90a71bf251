#pragma once

#include <memory>

#include "cli/command.h"

namespace culprit::cli {

/// `culprit doctor`: can this machine record, with which engine, and if not, what helps.
std::unique_ptr<Command> make_doctor_command();

}  // namespace culprit::cli
