// SARIF 2.1.0 (OASIS), as code scanning reads it.
#pragma once

#include <string>

#include "report/formats/source_paths.h"
#include "report/model.h"

namespace culprit::report {

/// One run with one result. The chain is its code flow from the origin to the crash (GitHub shows
/// code flows and ignores stacks), side branches are flows of their own, and the same places are
/// related locations that the message links to. URIs are relative to the repository (base
/// "%SRCROOT%"); a hop of code outside is shown at the line in the repository that called it, where
/// there is one.
///
/// Within GitHub's limits ("SARIF results exceed one or more limits"): one run, one rule, at most
/// 100 locations and 1000 thread flow locations for the result; texts are far below its 10 MB for
/// the file. `primaryLocationLineHash` is the loose cause key, so that an alert survives edits
/// elsewhere in its file. `report` is presentable().
[[nodiscard]] std::string to_sarif(const Report& report, const SourcePaths& paths);

}  // namespace culprit::report
