// GitLab's Code Quality report: the finding in a merge request's widget and beside the line.
#pragma once

#include <string>

#include "report/formats/source_paths.h"
#include "report/model.h"

namespace culprit::report {

/// A JSON array of one finding with the members that GitLab documents ("Code Quality report
/// format": description, check_name, fingerprint, severity, location.path, location.lines.begin).
/// The fingerprint is the loose key, so that an edit elsewhere in the file makes no new finding.
/// `report` is presentable().
[[nodiscard]] std::string to_gitlab_code_quality(const Report& report, const SourcePaths& paths);

}  // namespace culprit::report
