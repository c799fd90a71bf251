#include "batch/summary.h"

#include <gtest/gtest.h>

#include "report/sample_reports.h"
#include "report/write.h"

namespace culprit::batch {
namespace {

Summary three_real_ones() {
  Summary summary;
  std::vector<report::CaseDigest> digests;
  for (const char* name : {"stock_first", "stock_last", "restock_first"}) {
    const std::string path =
        std::string(CULPRIT_SOURCE_DIR "/src/report/testdata/causes/") + name + ".json";
    const auto report = report::read_report(path);
    EXPECT_TRUE(report.ok());
    digests.push_back(report::digest(*report, name));
    CaseResult one;
    one.id = one.name = name;
    one.outcome = Outcome::complete;
    one.bug_class = report::to_string(digests.back().bug_class);
    summary.results.push_back(one);
  }
  CaseResult bad;
  bad.id = "x";
  bad.name = "./hang";
  bad.outcome = Outcome::timed_out;
  bad.detail = "ended after 3 s";
  summary.results.push_back(bad);
  summary.clustering = report::cluster(digests, report::ClusterBy::strict);
  summary.cases = 5;
  summary.earlier = 2;
  summary.seconds = 4;
  return summary;
}

TEST(Summary, CountsOutcomesClassesAndCauses) {
  const std::string text = summary_text(three_real_ones());
  EXPECT_TRUE(
      text.starts_with("4 of 5 cases done: 3 complete, 1 timed_out\n"
                       "2 in this run, in 4.0 s, 0.50 cases a second\n"))
      << text;
  EXPECT_NE(text.find("      3       2       "), std::string::npos) << text;
  EXPECT_NE(text.find("\n      2  "), std::string::npos) << text;
  EXPECT_NE(text.find("timed_out      ./hang: ended after 3 s\n"), std::string::npos) << text;
}

TEST(Summary, ClassesSoFar) {
  const Summary summary = three_real_ones();
  const std::string text = classes_so_far(summary.results);
  EXPECT_TRUE(text.starts_with("3 ")) << text;
  EXPECT_TRUE(text.ends_with(", 1 timed_out")) << text;
  EXPECT_EQ(classes_so_far({}), "");
}

TEST(Summary, NothingDone) {
  Summary none;
  none.cases = 3;
  EXPECT_EQ(summary_text(none), "0 of 3 cases done\n0 in this run, in 0.0 s\n");
}

TEST(Summary, LongListsAreCut) {
  Summary many;
  for (int i = 0; i < 1000; ++i) {
    CaseResult one;
    one.name = "./p\x1b[2J" + std::to_string(i);
    one.outcome = Outcome::crashed;
    many.results.push_back(one);
  }
  many.cases = 1000;
  const std::string text = summary_text(many);
  EXPECT_LT(text.size(), 4000U);
  EXPECT_NE(text.find("… 980 more"), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace culprit::batch
