#include "report/formats/format.h"

#include <array>

#include "report/formats/casrep.h"
#include "report/formats/csv.h"
#include "report/formats/github.h"
#include "report/formats/gitlab.h"
#include "report/formats/html.h"
#include "report/formats/junit.h"
#include "report/formats/markdown.h"
#include "report/formats/perfetto.h"
#include "report/formats/sarif.h"
#include "report/formats/source_paths.h"
#include "report/json.h"
#include "report/presentable.h"
#include "report/text.h"

namespace culprit::report {
namespace {

// In the order of the enumeration: info() indexes it.
constexpr std::array<FormatInfo, 12> kFormats{{
    {Format::text, "text", "report.txt", "for a terminal"},
    {Format::json, "json", "report.json", "the report itself, in this version's form"},
    {Format::markdown, "markdown", "report.md", "for an issue on GitHub or GitLab, with a diagram"},
    {Format::html, "html", "report.html", "one page to look at, without network"},
    {Format::sarif, "sarif", "report.sarif", "SARIF 2.1.0, for code scanning"},
    {Format::junit, "junit", "junit.xml", "JUnit XML: one failed test case"},
    {Format::github, "github", "annotations.txt",
     "annotations of GitHub Actions, for the job's log"},
    {Format::github_summary, "github-summary", "summary.md",
     "a short summary, for $GITHUB_STEP_SUMMARY"},
    {Format::gitlab, "gitlab", "codequality.json", "a Code Quality report of GitLab"},
    {Format::casrep, "casrep", "report.casrep", "CASR's crash report"},
    {Format::perfetto, "perfetto", "trace.json", "trace events for ui.perfetto.dev"},
    {Format::csv, "csv", "hops.csv", "one row for each hop"},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kFormats.size(); ++i) {
    if (static_cast<std::size_t>(kFormats[i].id) != i) return false;
  }
  return true;
}
static_assert(in_order());

}  // namespace

std::span<const FormatInfo> formats() { return kFormats; }

std::optional<Format> format_named(std::string_view name) {
  for (const FormatInfo& entry : kFormats) {
    if (entry.name == name) return entry.id;
  }
  return std::nullopt;
}

const FormatInfo& info(Format format) {
  const auto index = static_cast<std::size_t>(format);
  return index < kFormats.size() ? kFormats[index] : kFormats[0];
}

std::string render(const Report& report, Format format, const FormatOptions& options) {
  if (format == Format::json) return to_json_text(report);
  const Report fit = presentable(report);
  const SourcePaths paths(options.source_root.empty() ? fit.program.cwd : options.source_root,
                          options.strip_prefixes);
  switch (format) {
    case Format::markdown:
      return to_markdown(fit);
    case Format::html:
      return to_html(fit);
    case Format::sarif:
      return to_sarif(fit, paths);
    case Format::junit:
      return to_junit(fit);
    case Format::github:
      return to_github_annotations(fit, paths);
    case Format::github_summary:
      return to_github_summary(fit);
    case Format::gitlab:
      return to_gitlab_code_quality(fit, paths);
    case Format::casrep:
      return to_casrep(fit);
    case Format::perfetto:
      return to_perfetto(fit);
    case Format::csv:
      return to_csv(fit);
    case Format::text:
    case Format::json:
      break;
  }
  return to_text(fit, {options.colour, options.columns, options.backtraces});
}

}  // namespace culprit::report
