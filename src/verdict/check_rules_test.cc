#include <gtest/gtest.h>

#include "report/suspect_words.h"
#include "verdict/rules.h"
#include "verdict/test_chains.h"

namespace culprit::verdict {
namespace {

using report::BugClass;
using report::HopKind;
using report::StopReason;
using testing::chain;
using testing::hop;

report::Report checked(std::string_view as, std::uint64_t value, StopReason stopped) {
  report::Report out = chain({hop(HopKind::store, "keep"), hop(HopKind::origin, "find")});
  out.suspect->description = as;
  out.suspect->value = value;
  out.suspect->size = 8;
  out.verdict.stopped_because = stopped;
  return out;
}

TEST(RefusedByCheck, AnIndexIsOutOfRangeAlsoWhereItIsMinusOne) {
  report::Report r = checked(report::kCheckedIndex, ~std::uint64_t{0}, StopReason::constant);
  ASSERT_TRUE(refused_by_check(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::index_out_of_range);
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "find");
  EXPECT_EQ(r.verdict.confidence, report::Confidence::likely);
}

TEST(RefusedByCheck, ASizeThatWentBelowZeroInAComputation) {
  report::Report r = checked(report::kCheckedSize, ~std::uint64_t{0}, StopReason::arithmetic);
  ASSERT_TRUE(refused_by_check(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::integer_overflow);
}

TEST(RefusedByCheck, ANegativeSizeThatWasNotComputed) {
  report::Report r = checked(report::kCheckedSize, ~std::uint64_t{0}, StopReason::constant);
  ASSERT_TRUE(refused_by_check(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::sign_error);
}

TEST(RefusedByCheck, ALargeSizeOfUnknownMakingIsNothingMoreThanAStop) {
  report::Report r = checked(report::kCheckedSize, 1 << 30, StopReason::writer_not_found);
  ASSERT_TRUE(refused_by_check(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::deliberate_abort);
}

TEST(RefusedByCheck, AnyOtherValueIsWhatTheTextSays) {
  report::Report r = checked(report::kCheckedValue, 3, StopReason::constant);
  r.crash.hint = "assertion";
  ASSERT_TRUE(refused_by_check(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::deliberate_abort);
  r.crash.hint = "invalid_iterator";
  ASSERT_TRUE(refused_by_check(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::iterator_invalidated);
}

TEST(RefusedByCheck, AMissingVirtualFunctionIsBlamedOnWhoMadeTheObjectSuch) {
  report::Report r = checked(report::kVirtualTable, 0x5000, StopReason::constant);
  ASSERT_TRUE(refused_by_check(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::use_after_destroy);
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "find");
  EXPECT_EQ(r.verdict.confidence, report::Confidence::likely);
}

TEST(RefusedByCheck, LeavesOtherSuspectsAlone) {
  report::Report r = checked(report::kIndex, 3, StopReason::constant);
  EXPECT_FALSE(refused_by_check(r));
}

}  // namespace
}  // namespace culprit::verdict
