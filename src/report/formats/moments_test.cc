#include "report/formats/moments.h"

#include <gtest/gtest.h>

#include <string>

#include "report/sample_reports.h"

namespace culprit::report {
namespace {

Hop hop_at(std::int64_t event) {
  Hop hop;
  hop.position.event = EventNumber{event};
  return hop;
}

std::string order(const Report& report) {
  std::string out;
  for (const Moment& moment : moments_of(report)) {
    constexpr const char* kNames[] = {"", "born ", "died ", "from ", "to "};
    out += (out.empty() ? "" : ", ") + std::string(kNames[static_cast<int>(moment.kind)]) +
           std::to_string(moment.hop);
  }
  return out;
}

TEST(Moments, AreInTheOrderOfTime) {
  Report report;
  report.hops = {hop_at(30), hop_at(20), hop_at(20), hop_at(10)};
  number_hops(report.hops);
  EXPECT_EQ(order(report), "3, 2, 1, 0");
}

TEST(Moments, AHopIsBeforeTheOneItExplains) {
  Report report;
  report.hops = {hop_at(30), hop_at(0), hop_at(40),
                 hop_at(10)};  // not known, and later than its effect
  number_hops(report.hops);
  EXPECT_EQ(order(report), "3, 2, 1, 0");
}

TEST(Moments, LivesStandAroundTheirHops) {
  Report report;
  report.hops = {hop_at(30), hop_at(20), hop_at(10)};
  number_hops(report.hops);
  Owner owner;
  owner.life.born = LifeEvent{hop_at(10).position, "born", {}};
  owner.life.died = LifeEvent{hop_at(20).position, "died", {}};
  owner.life.alive_at_write = false;
  report.hops[1].location.emplace().owner = owner;
  EXPECT_EQ(order(report), "2, born 1, died 1, 1, 0");
  report.hops[1].location->owner->life.alive_at_write = true;
  EXPECT_EQ(order(report), "2, born 1, 1, died 1, 0");
}

TEST(Moments, EveryHopIsThereOnce) {
  const Report report = long_report(100);
  std::vector<int> seen(report.hops.size());
  for (const Moment& moment : moments_of(report)) {
    if (moment.kind == MomentKind::hop) ++seen[moment.hop];
  }
  for (const int count : seen) EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace culprit::report
