#include "report/formats/github.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "report/formats/escape.h"
#include "report/formats/site.h"
#include "report/sanitize.h"
#include "report/words.h"

namespace culprit::report {
namespace {

constexpr std::size_t kMaxNotices = 9;
constexpr std::size_t kMaxMessage = 4000;
constexpr std::size_t kSummaryHops = 20;

std::string command(std::string_view kind, const std::optional<Site>& site, std::string_view title,
                    std::string_view message) {
  std::string out = fmt::format("::{} ", kind);
  if (site && site->in_repository) {
    out += "file=" + github_property(site->path) + ",";
    if (site->line != 0) out += fmt::format("line={},", site->line);
  }
  out += "title=" + github_property(sanitize(title, kMaxShownName));
  out += "::" + github_message(sanitize(message, kMaxMessage, Lines::many)) + "\n";
  return out;
}

std::string error_message(const Report& report) {
  const Verdict& verdict = report.verdict;
  std::string message;
  const auto add = [&message](const std::string& line) {
    if (!line.empty()) message += (message.empty() ? "" : "\n") + line;
  };
  if (verdict.cause) add(cause_text(*verdict.cause, report.program.cwd));
  add(verdict.explanation);
  if (const std::string crash = crash_text(report.crash); !crash.empty()) add("Crash: " + crash);
  if (!complete(report)) add("The chain is incomplete: " + stop_text(verdict));
  add("Fix: " + fix_of(verdict));
  add("Cause " + report.fingerprint.strict);
  return message;
}

std::string summary_of(const Report& report, std::size_t hops, std::size_t prose) {
  const Verdict& verdict = report.verdict;
  const auto limited = [prose](std::string_view text) {
    return markdown_prose(sanitize(text, prose, Lines::many));
  };
  std::string out =
      fmt::format("### {} ({})\n\n", limited(title_of(verdict)), to_string(verdict.confidence));
  if (verdict.cause) {
    const std::string where = cause_text(*verdict.cause, report.program.cwd);
    if (!where.empty()) out += fmt::format("**Cause** {}\n\n", markdown_code(where));
  }
  if (!verdict.explanation.empty()) out += limited(verdict.explanation) + "\n\n";
  out += fmt::format("**Fix** {}\n\n", limited(fix_of(verdict)));
  if (!complete(report)) {
    out += fmt::format("**The chain is incomplete:** {}\n\n", limited(stop_text(verdict)));
  }
  if (const std::string crash = crash_text(report.crash); !crash.empty()) {
    out += fmt::format("**Crash** {}\n\n", markdown_code(sanitize(crash, prose)));
  }
  std::size_t left = hops;
  for (const Hop& hop : report.hops) {
    if (!hop.main_line) continue;
    if (left-- == 0) {
      out += "- …\n";
      break;
    }
    const std::string at = place_text(report.program.cwd, hop.writer.file, hop.writer.line,
                                      hop.writer.module, hop.writer.module_offset);
    out += fmt::format("- **#{}** {} {}: {}\n", hop.index, markdown_code(actor_of(hop)),
                       markdown_code(at), markdown_prose(sanitize(deed_text(hop), prose)));
  }
  out += fmt::format("\nCause key {}\n", markdown_code(report.fingerprint.strict));
  return out;
}

}  // namespace

std::string to_github_annotations(const Report& report, const SourcePaths& paths) {
  const std::optional<Site> site = site_of_report(report, paths);
  std::string out = command("error", site, title_of(report.verdict), error_message(report));
  std::set<std::pair<std::string, std::uint32_t>> lines;
  if (site) lines.emplace(site->path, site->line);
  for (const Hop& hop : report.hops) {
    if (lines.size() > kMaxNotices) break;
    const std::optional<Site> at = site_of_hop(hop, paths);
    if (!hop.main_line || !at || !at->in_repository) continue;
    if (!lines.emplace(at->path, at->line).second) continue;
    const std::string what = at->caller ? actor_of(hop) + ", called from here: " : "";
    out += command("notice", at, fmt::format("culprit: hop {} of the chain", hop.index),
                   what + deed_text(hop));
  }
  return out;
}

std::string to_github_summary(const Report& report) {
  std::string out = summary_of(report, kSummaryHops, 4000);
  // Long names everywhere: say less of each.
  for (const std::size_t prose : {1000U, 200U, 60U}) {
    if (out.size() <= 20'000) break;
    out = summary_of(report, kSummaryHops, prose);
  }
  return out;
}

}  // namespace culprit::report
