#include <gtest/gtest.h>

#include "report/suspect_words.h"
#include "verdict/judge.h"
#include "verdict/rules.h"
#include "verdict/test_chains.h"

namespace culprit::verdict {
namespace {

using report::BugClass;
using report::HopKind;
using report::RegionKind;
using testing::chain;
using testing::frame;
using testing::hop;
using testing::object;
using testing::place;

report::Hop sweep() {
  report::Hop out = hop(HopKind::release, "pool_sweep");
  out.location = object(RegionKind::runtime_object, 0x5000, 32);
  out.location->owner->allocator = report::kGarbageCollector;
  return out;
}

report::Hop unmapped() {
  report::Hop out = hop(HopKind::remap, "free_stacks");
  out.location = place(RegionKind::unmapped);
  return out;
}

report::Hop registration() {
  report::Hop out = hop(HopKind::registration, "caml_register_code_fragment");
  out.location = place(RegionKind::tls, 0x5000, 28);
  out.backtrace = {frame("caml_register_code_fragment"), frame("init_callback_code")};
  return out;
}

TEST(CollectorRules, ARegistrationThatOutlivedItsMemoryIsBlamedOnWhoAskedForIt) {
  report::Report report = chain({sweep(), hop(HopKind::remap, "map"), unmapped(), registration()});
  judge(report);
  EXPECT_EQ(report.verdict.bug_class, BugClass::stale_registration);
  ASSERT_TRUE(report.verdict.cause);
  EXPECT_EQ(report.verdict.cause->function, "init_callback_code");
  EXPECT_EQ(report.verdict.confidence, report::Confidence::likely);
  EXPECT_EQ(report.verdict.evidence, (std::vector<std::uint32_t>{1, 3, 4}));
}

TEST(CollectorRules, MemoryThatIsStillThereMakesItAMissedReference) {
  report::Report report = chain({sweep(), registration()});
  judge(report);
  EXPECT_EQ(report.verdict.bug_class, BugClass::gc_missed_reference);
  EXPECT_EQ(report.verdict.cause->function, "init_callback_code");
}

TEST(CollectorRules, WithoutARegistrationTheSweepIsAllThatIsKnown) {
  report::Report report = chain({sweep()});
  judge(report);
  EXPECT_EQ(report.verdict.bug_class, BugClass::gc_missed_reference);
  EXPECT_EQ(report.verdict.cause->function, "pool_sweep");
}

TEST(CollectorRules, AnotherReleaseIsNoSweep) {
  report::Hop freed = sweep();
  freed.location->owner->allocator = "free";
  report::Report report = chain({freed, registration()});
  EXPECT_FALSE(collected_in_use(report));
}

}  // namespace
}  // namespace culprit::verdict
