#include "recorder/software_plan.h"

#include <gtest/gtest.h>

namespace culprit::recorder {
namespace {

Refused refusal(RefusalKind kind, std::optional<std::uint64_t> landing = {}) {
  Refused out;
  out.kind = kind;
  out.landing = landing;
  return out;
}

TEST(SoftwarePlan, FixesAddressesAndThenCollectsLandings) {
  const RecordOptions options;
  SoftwarePlan plan(options, true);
  EXPECT_GT(plan.settings().learn_after.count(), 0);
  EXPECT_FALSE(plan.settings().fixed_addresses);
  ASSERT_TRUE(plan.learn_from(refusal(RefusalKind::learn, 0x561000001000)));
  EXPECT_TRUE(plan.settings().fixed_addresses);
  EXPECT_TRUE(plan.settings().landings.empty()) << "that address was of another layout";
  ASSERT_TRUE(plan.learn_from(refusal(RefusalKind::learn, 0x555555555000)));
  ASSERT_TRUE(plan.learn_from(refusal(RefusalKind::learn, 0x555555555100)));
  EXPECT_EQ(plan.settings().landings.size(), 2u);
  EXPECT_FALSE(plan.learn_from(refusal(RefusalKind::learn, 0x555555555100))) << "it did not help";
}

TEST(SoftwarePlan, EndsWhenNothingIsLeftToTry) {
  const RecordOptions options;
  SoftwarePlan plan(options, true);
  int runs = 0;
  while (plan.learn_from(refusal(RefusalKind::learn, 0x555555555000 + 16 * runs)) && runs < 100)
    ++runs;
  EXPECT_EQ(runs, 1 + static_cast<int>(agent::max_landings));
  EXPECT_FALSE(SoftwarePlan(options, false).learn_from(refusal(RefusalKind::learn, 1)));
  EXPECT_EQ(SoftwarePlan(options, false).settings().learn_after.count(), 0)
      << "nothing can be learnt for a run that cannot be made again";
  EXPECT_FALSE(plan.learn_from(refusal(RefusalKind::hold)));
  EXPECT_FALSE(plan.learn_from(refusal(RefusalKind::other)));
}

TEST(SoftwarePlan, RetriesStarvedRunsWithLessPatienceExceptTheLast) {
  RecordOptions options;
  options.refusal_retries = 1;
  SoftwarePlan plan(options, true);
  EXPECT_LT(plan.settings().starve_limit, options.starve_limit);
  EXPECT_TRUE(plan.learn_from(refusal(RefusalKind::starve)));
  EXPECT_EQ(plan.settings().starve_limit, options.starve_limit);
  EXPECT_FALSE(plan.learn_from(refusal(RefusalKind::starve)));
}

TEST(SoftwarePlan, GivesUpALandingThatIsExecutedTooOften) {
  const RecordOptions options;
  SoftwarePlan plan(options, true);
  ASSERT_TRUE(plan.learn_from(refusal(RefusalKind::learn, 0x561000001000)));
  ASSERT_TRUE(plan.learn_from(refusal(RefusalKind::learn, 0x555555555000)));
  ASSERT_TRUE(plan.learn_from(refusal(RefusalKind::hot)));
  EXPECT_TRUE(plan.settings().landings.empty());
  EXPECT_FALSE(plan.settings().fixed_addresses);
  EXPECT_EQ(plan.settings().learn_after.count(), 0);
  EXPECT_EQ(plan.settings().starve_limit, options.starve_limit);
  EXPECT_FALSE(plan.learn_from(refusal(RefusalKind::hot)));
}

}  // namespace
}  // namespace culprit::recorder
