#include "cli/fail_on.h"

#include <algorithm>

#include "report/bug_class.h"
#include "report/fingerprint.h"
#include "report/sanitize.h"

namespace culprit::cli {
namespace {

std::optional<report::BugClass> class_named(std::string_view name) {
  for (const report::BugClassInfo& one : report::bug_classes()) {
    if (one.name == name) return one.id;
  }
  return std::nullopt;
}

Error usage(std::string message) {
  return Error{ErrorCode::usage, "--fail-on " + std::move(message)};
}

}  // namespace

std::vector<std::string_view> FailOn::words() {
  std::vector<std::string_view> words{"test", "never", "proved", "likely", "new"};
  for (const report::BugClassInfo& one : report::bug_classes()) words.push_back(one.name);
  return words;
}

Result<FailOn> parse_fail_on(std::string_view text) {
  FailOn out;
  std::size_t count = 0;
  for (std::string_view rest = text;;) {
    const std::size_t comma = rest.find(',');
    const std::string_view word = rest.substr(0, comma);
    ++count;
    if (word == "test") {
      out.always = true;
    } else if (word == "never") {
      out.never = true;
    } else if (word == "proved") {
      out.proved = true;
    } else if (word == "likely") {
      out.likely = true;
    } else if (word == "new") {
      out.new_causes = true;
    } else if (const auto named = class_named(word)) {
      out.classes.insert(*named);
    } else {
      return usage("'" + report::sanitize(word, 60) +
                   "': no such word; the classes are those of docs/report-schema.md");
    }
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (count > 1 && (out.always || out.never)) {
    return usage(std::string(out.always ? "test" : "never") + " stands alone");
  }
  return out;
}

Judgement judge(const FailOn& fail_on, const report::Report& report,
                const report::Baseline* baseline) {
  const report::Verdict& verdict = report.verdict;
  Judgement out;
  out.bug_class = report::to_string(verdict.bug_class);
  out.confidence = report::to_string(verdict.confidence);
  out.key = report::fingerprint(report).strict;
  if (baseline != nullptr) out.known = baseline->knows(report);
  const bool proved = verdict.confidence == report::Confidence::proved;
  const bool likely = proved || verdict.confidence == report::Confidence::likely;
  out.counts = fail_on.always || (fail_on.proved && proved) || (fail_on.likely && likely) ||
               (fail_on.new_causes && !out.known.value_or(false)) ||
               fail_on.classes.contains(verdict.bug_class);
  return out;
}

}  // namespace culprit::cli
