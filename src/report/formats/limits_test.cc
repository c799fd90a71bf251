// The limits of those who read the formats.
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "report/formats/format.h"
#include "report/formats/markdown.h"
#include "report/json.h"
#include "report/sample_reports.h"

namespace culprit::report {
namespace {

std::size_t count(const std::string& text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) ++found;
  return found;
}

TEST(Markdown, FitsIntoAnIssueWhateverTheInput) {
  for (const std::uint32_t hops : {4U, 20U, 60U, 200U, 1000U}) {
    const std::string text = render(long_report(hops), Format::markdown);
    EXPECT_LE(text.size(), kMaxMarkdown) << hops;
    // Most of the space is used before anything is left out.
    if (hops >= 200) {
      EXPECT_GE(text.size(), kMaxMarkdown / 3) << hops;
    }
  }
  // Every sign costs nine bytes, in every text at its longest.
  Report worst = long_report(100);
  const std::string signs(20'000, '@');
  worst.verdict.title = worst.verdict.explanation = worst.verdict.suggested_fix = signs;
  worst.crash.message = signs;
  worst.warnings.assign(30, signs);
  worst.engine.limitations.assign(30, signs);
  worst.program.argv.assign(30, signs);
  for (Hop& hop : worst.hops) {
    hop.summary = hop.note = hop.writer.function = hop.writer.instruction = signs;
    hop.source->description = signs;
    hop.revisit->command = signs;
    hop.revisit->gdb_commands.assign(20, signs);
    for (Frame& frame : hop.backtrace) frame.function = signs;
  }
  EXPECT_LE(render(worst, Format::markdown).size(), kMaxMarkdown);
  EXPECT_LE(render(worst, Format::github_summary).size(), 20'000U);
}

TEST(Markdown, SaysWhatIsLeftOut) {
  EXPECT_NE(render(long_report(1000), Format::markdown).find("more hops are in the JSON report"),
            std::string::npos);
  EXPECT_EQ(render(long_report(20), Format::markdown).find("more hops"), std::string::npos);
}

TEST(Sarif, IsWithinGithubsLimits) {
  const Json log = Json::parse(render(long_report(1000), Format::sarif));
  ASSERT_EQ(log["runs"].size(), 1U);
  const Json& result = log["runs"][0]["results"][0];
  EXPECT_LE(result["locations"].size() + result["relatedLocations"].size(), 100U);
  std::size_t steps = 0;
  for (const Json& flow : result["codeFlows"]) {
    for (const Json& thread : flow["threadFlows"]) steps += thread["locations"].size();
  }
  EXPECT_LE(steps, 1000U);
  EXPECT_GT(steps, 500U);
  EXPECT_LE(log["runs"][0]["tool"]["driver"]["rules"][0]["properties"]["tags"].size(), 10U);
}

TEST(Sarif, TheFlowRunsFromTheOriginToTheCrash) {
  FormatOptions options;
  options.source_root = "/builds/shop";
  const Json log = Json::parse(render(long_report(8), Format::sarif, options));
  const Json& result = log["runs"][0]["results"][0];
  ASSERT_EQ(result["codeFlows"].size(), 2U);  // the main line and a side branch
  const Json& steps = result["codeFlows"][0]["threadFlows"][0]["locations"];
  const auto uri = [](const Json& step) {
    return step["location"]["physicalLocation"]["artifactLocation"]["uri"].get<std::string>();
  };
  EXPECT_EQ(uri(steps.front()), "src/feeder.cc");
  EXPECT_EQ(uri(steps.back()), "src/item.cc");
  for (std::size_t i = 0; i < steps.size(); ++i) EXPECT_EQ(steps[i]["executionOrder"], i + 1);
  EXPECT_EQ(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "src/record.h");
  EXPECT_EQ(result["locations"][0]["physicalLocation"]["artifactLocation"]["uriBaseId"],
            "%SRCROOT%");
  EXPECT_TRUE(result["partialFingerprints"].contains("primaryLocationLineHash"));
  // The message's links lead to locations that are there.
  for (const Json& related : result["relatedLocations"]) {
    EXPECT_TRUE(related["id"].is_number_unsigned());
  }
}

TEST(Github, KeepsTenAnnotationsOfAKind) {
  const std::string text = render(long_report(1000), Format::github);
  EXPECT_EQ(count(text, "::error "), 1U);
  EXPECT_LE(count(text, "::notice "), 9U);
  EXPECT_GE(count(text, "::notice "), 3U);
}

TEST(Github, NamesNoFileOutsideOfTheRepository) {
  Report report = full_report();
  report.program.cwd = "/srv/other";
  const std::string text = render(report, Format::github);
  EXPECT_EQ(count(text, "file="), 0U);
  EXPECT_EQ(count(text, "::error title="), 1U);
}

TEST(Csv, HasARowForEachHop) {
  EXPECT_EQ(count(render(long_report(50), Format::csv), "\r\n"), 52U);  // header, 50 hops, a branch
}

TEST(Perfetto, ArrowsGoForward) {
  const Json trace = Json::parse(render(long_report(40), Format::perfetto));
  std::map<std::uint64_t, std::int64_t> starts;
  std::size_t ends = 0;
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] == "s")
      starts[event["id"].get<std::uint64_t>()] = event["ts"].get<std::int64_t>();
  }
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] != "f") continue;
    ++ends;
    ASSERT_TRUE(starts.contains(event["id"].get<std::uint64_t>()));
    EXPECT_LT(starts[event["id"].get<std::uint64_t>()], event["ts"].get<std::int64_t>());
  }
  EXPECT_EQ(ends, 40U);  // each hop but the crash explains another one
}

}  // namespace
}  // namespace culprit::report
