// What a job of GitHub Actions shows: annotations at the lines of the chain, and the summary of a
// step.
#pragma once

#include <string>

#include "report/formats/source_paths.h"
#include "report/model.h"

namespace culprit::report {

/// Workflow commands for the job's log: one "::error file=…,line=…,title=…::…" at the cause, and a
/// "::notice" at each other line of the chain that is in the repository, at most nine (GitHub keeps
/// ten of a kind for each step). Nothing of the program can begin a line. `report` is
/// presentable().
[[nodiscard]] std::string to_github_annotations(const Report& report, const SourcePaths& paths);

/// Markdown for $GITHUB_STEP_SUMMARY: the verdict, the chain as a short list, the fingerprint. At
/// most 20 kB (a step may write 1 MiB, and several reports may share it).
[[nodiscard]] std::string to_github_summary(const Report& report);

}  // namespace culprit::report
