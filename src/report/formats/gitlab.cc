#include "report/formats/gitlab.h"

#include <algorithm>
#include <optional>

#include "report/formats/site.h"
#include "report/json.h"
#include "report/words.h"

namespace culprit::report {

std::string to_gitlab_code_quality(const Report& report, const SourcePaths& paths) {
  const std::optional<Site> site = site_of_report(report, paths);
  std::string description = title_of(report.verdict);
  if (report.verdict.cause) {
    const std::string where = cause_text(*report.verdict.cause, report.program.cwd);
    if (!where.empty()) description += " (" + where + ")";
  }
  // GitLab wants a path in any case. Outside of the repository the file's name, or the program's,
  // says at least what to look for.
  std::string path = site && site->in_repository
                         ? site->path
                         : std::string(base_name(site ? site->path : report.program.executable));
  if (path.empty()) path = "unknown";
  Json finding;
  finding["description"] = description;
  finding["check_name"] = to_string(report.verdict.bug_class);
  finding["fingerprint"] = report.fingerprint.loose;
  finding["severity"] = "critical";
  finding["location"]["path"] = path;
  finding["location"]["lines"]["begin"] = std::max(1U, site ? site->line : 1U);
  return Json::array({finding}).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace culprit::report
