// `culprit cluster`: many reports, grouped by their cause.
#pragma once

#include <memory>

#include "cli/command.h"

namespace culprit::cli {

std::unique_ptr<Command> make_cluster_command();

}  // namespace culprit::cli
