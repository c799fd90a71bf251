#include "batch/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "report/bug_class.h"
#include "report/words.h"

namespace culprit::batch {
namespace {

constexpr std::size_t kShownCauses = 40;
constexpr std::size_t kShownCases = 20;

using Counts = std::vector<std::pair<std::string, std::size_t>>;

// The most frequent first, then by name.
Counts sorted(const std::map<std::string, std::size_t>& counts) {
  Counts list(counts.begin(), counts.end());
  std::stable_sort(list.begin(), list.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return list;
}

std::string listed(const Counts& counts) {
  std::string out;
  for (const auto& [name, count] : counts) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count, name);
  }
  return out;
}

std::string by_class(const report::Clustering& clustering) {
  struct Row {
    std::size_t reports = 0;
    std::size_t causes = 0;
    std::size_t proved = 0;
  };
  std::map<report::BugClass, Row> rows;
  for (const report::Cluster& cluster : clustering.clusters) {
    Row& row = rows[clustering.cases[cluster.representative].bug_class];
    ++row.causes;
    row.reports += cluster.members.size();
    for (const std::size_t member : cluster.members) {
      if (clustering.cases[member].confidence == report::Confidence::proved) ++row.proved;
    }
  }
  std::vector<std::pair<report::BugClass, Row>> list(rows.begin(), rows.end());
  std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
    return a.second.reports > b.second.reports;
  });
  std::string out = "\nreports  causes  proved  class\n";
  for (const auto& [id, row] : list) {
    out += fmt::format("{:7}  {:6}  {:6}  {}\n", row.reports, row.causes, row.proved,
                       report::to_string(id));
  }
  return out;
}

std::string by_cause(const report::Clustering& clustering) {
  std::string out = "\nreports  cause\n";
  std::size_t left = kShownCauses;
  for (const report::Cluster& cluster : clustering.clusters) {
    if (left-- == 0) {
      return out + fmt::format("         … {} more: culprit cluster shows all\n",
                               clustering.clusters.size() - kShownCauses);
    }
    const report::CaseDigest& best = clustering.cases[cluster.representative];
    out += fmt::format("{:7}  {}  [{}]\n", cluster.members.size(), best.title,
                       report::to_string(best.confidence));
    if (!best.cause.empty()) out += fmt::format("         {}\n", best.cause);
    out += fmt::format("         {}  {}\n", cluster.key, report::shown(best.name));
  }
  return out;
}

std::string without_report(const std::vector<CaseResult>& results) {
  std::string out;
  std::size_t count = 0;
  for (const CaseResult& one : results) {
    if (has_report(one.outcome) || ++count > kShownCases) continue;
    out += fmt::format("{:13}  {}{}{}\n", name_of(one.outcome), report::shown(one.name),
                       one.detail.empty() ? "" : ": ", report::shown(one.detail));
  }
  if (count == 0) return out;
  if (count > kShownCases) out += fmt::format("               … {} more\n", count - kShownCases);
  return "\nwithout a report\n" + out;
}

}  // namespace

std::string classes_so_far(const std::vector<CaseResult>& results) {
  std::map<std::string, std::size_t> counts;
  for (const CaseResult& one : results) {
    ++counts[has_report(one.outcome) ? one.bug_class : std::string(name_of(one.outcome))];
  }
  return listed(sorted(counts));
}

std::string summary_text(const Summary& summary) {
  std::map<std::string, std::size_t> counts;
  for (const CaseResult& one : summary.results) ++counts[std::string(name_of(one.outcome))];
  std::string out = fmt::format("{} of {} {} done", summary.results.size(), summary.cases,
                                summary.cases == 1 ? "case" : "cases");
  if (!counts.empty()) out += ": " + listed(sorted(counts));
  const std::size_t fresh = summary.results.size() - summary.earlier;
  out += fmt::format("\n{} in this run, in {:.1f} s", fresh, summary.seconds);
  if (fresh > 0 && summary.seconds > 0) {
    out += fmt::format(", {:.2f} cases a second", static_cast<double>(fresh) / summary.seconds);
  }
  out += '\n';
  if (!summary.clustering.cases.empty()) {
    out += by_class(summary.clustering) + by_cause(summary.clustering);
  }
  return out + without_report(summary.results);
}

}  // namespace culprit::batch
