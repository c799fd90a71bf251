// `culprit report`: a finished report in other formats.
#pragma once

#include <memory>

#include "cli/command.h"

namespace culprit::cli {

std::unique_ptr<Command> make_report_command();

}  // namespace culprit::cli
