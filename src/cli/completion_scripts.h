// Completion scripts for shells: pure functions of the command line's model.
#pragma once

#include <string>

#include "cli/completion_model.h"

namespace culprit::cli {

/// For bash 4.4 or later; needs no bash-completion package.
[[nodiscard]] std::string bash_completion(const ProgramModel& program);
/// For zsh 5's compsys: a file named _culprit in $fpath, or sourced after compinit.
[[nodiscard]] std::string zsh_completion(const ProgramModel& program);
/// For fish 3: a file named culprit.fish in a completions directory, or sourced.
[[nodiscard]] std::string fish_completion(const ProgramModel& program);

}  // namespace culprit::cli
