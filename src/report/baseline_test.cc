#include "report/baseline.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "report/cluster.h"
#include "report/json.h"
#include "report/sample_reports.h"

namespace culprit::report {
namespace {

const Report& known() {
  static const Report report = full_report();
  return report;
}

Baseline baseline_of(const std::string& text) {
  Baseline baseline;
  const Status added = baseline.add_text(text);
  EXPECT_TRUE(added.ok()) << added.error().message;
  return baseline;
}

std::string error_of(const std::string& text) {
  Baseline baseline;
  const Status added = baseline.add_text(text);
  EXPECT_FALSE(added.ok()) << text;
  return added.ok() ? "" : added.error().message;
}

TEST(Baseline, KeysOfAText) {
  const Fingerprint keys =
      to_json(known()).at("fingerprint").is_object() ? digest(known(), "").keys : Fingerprint{};
  EXPECT_TRUE(
      baseline_of("# known\n\n  " + keys.strict + "  the import bug # 12\r\n").knows(known()));
  EXPECT_TRUE(baseline_of(keys.loose).knows(known()));
  EXPECT_FALSE(baseline_of(keys.strict).knows(minimal_report()));
  EXPECT_FALSE(baseline_of("# nothing\n").knows(known()));
  Report moved = known();
  moved.verdict.cause->line += 1;
  EXPECT_FALSE(baseline_of(keys.strict).knows(moved));
  EXPECT_TRUE(baseline_of(keys.loose).knows(moved));
}

TEST(Baseline, ReportsGroupsAndResults) {
  EXPECT_TRUE(baseline_of(to_json_text(known())).knows(known()));
  EXPECT_TRUE(baseline_of(to_json(known()).dump()).knows(known()));
  const Clustering groups =
      cluster({digest(known(), "a"), digest(minimal_report(), "b")}, ClusterBy::strict);
  const Baseline of_groups = baseline_of(clusters_to_json(groups, {}).dump(2));
  EXPECT_EQ(of_groups.size(), 2U);
  EXPECT_TRUE(of_groups.knows(known()));
  const std::string key = digest(known(), "").keys.strict;
  const Baseline of_results = baseline_of(R"({"id":"a","outcome":"timed_out"})"
                                          "\n"
                                          R"({"id":"b","outcome":"complete","key":")" +
                                          key + "\"}\n");
  EXPECT_EQ(of_results.size(), 1U);
  EXPECT_TRUE(of_results.knows(known()));
  // One line of results is no report, either.
  EXPECT_TRUE(baseline_of(R"({"outcome":"complete","key":")" + key + "\"}").knows(known()));
}

TEST(Baseline, WhatCannotBeFoundIsAnError) {
  const std::string digits(32, 'a');
  EXPECT_EQ(error_of("\n2s-" + digits),
            "line 2: 2s-" + digits + " is a key of another version of culprit");
  EXPECT_EQ(error_of("1s-abc"), "line 1: '1s-abc' is no key of a cause");
  EXPECT_EQ(error_of("1x-" + digits), "line 1: '1x-" + digits + "' is no key of a cause");
  EXPECT_NE(error_of("\x1b[2J").find("'\\x1b[2J' is no key"), std::string::npos);
  EXPECT_NE(error_of(R"({"a": 1})").find(kNoReport), std::string::npos);
  EXPECT_NE(error_of(R"({"clusters": 7})"), "");
  EXPECT_NE(error_of(R"({"clusters": [{}]})"), "");
  EXPECT_NE(error_of(R"({"schema_version": "2.0"})").find("newer"), std::string::npos);
  EXPECT_NE(error_of(R"({"schema_version": "1.0)"), "");
  EXPECT_NE(error_of("{" + std::string(100'000, '[')), "");
}

TEST(Baseline, FilesAndDirectories) {
  auto scratch = TemporaryDirectory::create("culprit-test-");
  ASSERT_TRUE(scratch.ok());
  const auto& dir = scratch->path();
  const auto write = [&](const char* name, const std::string& text) {
    std::filesystem::create_directories((dir / name).parent_path());
    std::ofstream(dir / name) << text;
  };
  EXPECT_EQ(read_baseline((dir / "none").string()).error().code, ErrorCode::usage);
  const auto empty = read_baseline(dir.string());
  ASSERT_TRUE(empty.ok());
  EXPECT_EQ(empty->size(), 0U);
  write("a/report.json", to_json_text(known()));
  write("a/package.json", R"({"name": "x"})");
  write("a/notes.md", "no keys");
  write("b.txt", "1s-" + std::string(32, '0'));
  const auto both = read_baseline(dir.string());
  ASSERT_TRUE(both.ok()) << both.error().message;
  EXPECT_EQ(both->size(), 2U);
  EXPECT_TRUE(both->knows(known()));
  EXPECT_FALSE(read_baseline((dir / "a/package.json").string()).ok());
  write("torn.json", to_json_text(known()).substr(0, 500));
  write("bad.txt", "what");
  const auto bad = read_baseline(dir.string());
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.error().message.find("bad.txt: line 1"), std::string::npos);
}

}  // namespace
}  // namespace culprit::report
