#include "report/cluster.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "report/sample_reports.h"
#include "report/write.h"

namespace culprit::report {
namespace {

CaseDigest real(const std::string& name) {
  const auto path =
      std::filesystem::path(CULPRIT_SOURCE_DIR) / "src/report/testdata/causes" / (name + ".json");
  const auto report = read_report(path.string());
  EXPECT_TRUE(report.ok()) << report.error().message;
  return digest(report.ok() ? *report : Report{}, name);
}

// Reports of tests/report/programs/causes.c: two crashes of the cause in stock(), and one of the
// cause in restock() whose crash reads like the first.
TEST(Cluster, CausesAndNotCrashesCount) {
  const Clustering result =
      cluster({real("stock_first"), real("restock_first"), real("stock_last")}, ClusterBy::strict);
  ASSERT_EQ(result.clusters.size(), 2U);
  EXPECT_EQ(result.clusters[0].members, (std::vector<std::size_t>{0, 2}));
  EXPECT_EQ(result.clusters[1].members, (std::vector<std::size_t>{1}));
  EXPECT_EQ(result.clusters[0].same_crash, (std::vector<std::size_t>{1}));
  EXPECT_EQ(result.clusters[1].same_crash, (std::vector<std::size_t>{0}));
  EXPECT_TRUE(result.clusters[0].same_place.empty());
  bool crashed_in = false;
  for (const Difference& difference : result.clusters[0].differs) {
    EXPECT_NE(difference.trait, "cause");
    EXPECT_NE(difference.trait, "build");
    if (difference.trait != "crashed in") continue;
    crashed_in = true;
    EXPECT_EQ(difference.values.size(), 2U);
  }
  EXPECT_TRUE(crashed_in);
  EXPECT_TRUE(result.clusters[1].differs.empty());
}

TEST(Cluster, TheLooseKeyForgivesLines) {
  Report moved = full_report();
  moved.verdict.cause->line += 7;
  const std::vector<CaseDigest> cases{digest(full_report(), "old"), digest(moved, "new")};
  const Clustering strict = cluster(cases, ClusterBy::strict);
  ASSERT_EQ(strict.clusters.size(), 2U);
  EXPECT_EQ(strict.clusters[0].same_place, (std::vector<std::size_t>{1}));
  EXPECT_EQ(cluster(cases, ClusterBy::loose).clusters.size(), 1U);
}

TEST(Cluster, TheBestFoundedReportStandsForAll) {
  Report vague = full_report();
  vague.verdict.confidence = Confidence::likely;
  Report incomplete = full_report();
  incomplete.verdict.stopped_because = StopReason::timeout;
  Report shorter = full_report();
  shorter.hops.resize(1);
  shorter.verdict.evidence = {0};
  const Clustering result = cluster({digest(incomplete, "incomplete"), digest(vague, "vague"),
                                     digest(full_report(), "full"), digest(shorter, "shorter")},
                                    ClusterBy::strict);
  ASSERT_EQ(result.clusters.size(), 1U);
  EXPECT_EQ(result.clusters[0].representative, 3U);
}

TEST(Cluster, NumbersOfOneRunDoNotMakeADifference) {
  Report other = full_report();
  other.crash.fault_address = Address{0x99};
  const Clustering result =
      cluster({digest(full_report(), "a"), digest(other, "b")}, ClusterBy::strict);
  ASSERT_EQ(result.clusters.size(), 1U);
  EXPECT_TRUE(result.clusters[0].differs.empty());
}

TEST(Cluster, ALotIsGroupedInOrder) {
  std::vector<CaseDigest> cases;
  for (std::uint32_t i = 0; i < 3000; ++i) {
    Report report = minimal_report();
    report.verdict.cause = CauseSite{};
    report.verdict.cause->function = "f" + std::to_string(i % 60 < 40 ? 0 : i % 60);
    cases.push_back(digest(report, std::to_string(i)));
  }
  const Clustering result = cluster(std::move(cases), ClusterBy::strict);
  ASSERT_EQ(result.clusters.size(), 21U);
  EXPECT_EQ(result.clusters[0].members.size(), 2000U);
  for (std::size_t i = 1; i < 21; ++i) EXPECT_EQ(result.clusters[i].members.size(), 50U);
}

TEST(Cluster, NoReportsAreNoCauses) {
  const Clustering result = cluster({}, ClusterBy::strict);
  EXPECT_EQ(clusters_to_text(result, {}), "0 reports, 0 causes\n");
  EXPECT_EQ(clusters_to_json(result, {})["clusters"].size(), 0U);
}

TEST(Cluster, HostileReportsAreInert) {
  const Clustering result =
      cluster({digest(hostile_report(), "a\x1b[2J\n::error::x"), digest(full_report(), "b")},
              ClusterBy::loose);
  const std::vector<Unreadable> unreadable{{"c\x1b", "not \xff JSON"}};
  const std::string text = clusters_to_text(result, unreadable);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_LT(text.size(), 64U << 10);
  const std::string json = clusters_to_json(result, unreadable).dump(2);  // throws on invalid UTF-8
  EXPECT_EQ(json.find("\\u001b"), std::string::npos);
}

}  // namespace
}  // namespace culprit::report
