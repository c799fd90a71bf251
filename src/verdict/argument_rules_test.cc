// A number that was given to a variadic function where it took a pointer.
#include <gtest/gtest.h>

#include "verdict/judge.h"
#include "verdict/rules.h"
#include "verdict/test_chains.h"

namespace culprit::verdict {
namespace {

using report::BugClass;
using report::Confidence;
using report::HopKind;
using report::RegionKind;
using report::Report;
using testing::chain;
using testing::frame;
using testing::hop;
using testing::object;

Report given(std::uint64_t value) {
  report::Hop saved = hop(HopKind::store, "log_line");
  saved.location = object(RegionKind::stack, 0x7fff'0000, 8);
  saved.location->owner->variable = "unnamed argument 2 of log_line";
  saved.backtrace = {frame("log_line"), frame("greet"), frame("main")};
  saved.backtrace[1].file = "/src/greet.c";
  saved.backtrace[1].line = 24;
  Report r = chain({saved, hop(HopKind::store, "main")});
  r.suspect->value = value;
  r.crash.fault_address = Address{value};
  return r;
}

TEST(ArgumentRules, ANumberIsTakenForAPointer) {
  Report r = given(1004);
  judge(r);
  EXPECT_EQ(r.verdict.bug_class, BugClass::varargs_mismatch);
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_EQ(r.verdict.cause->function, "greet");
  EXPECT_EQ(r.verdict.cause->line, 24U);
  EXPECT_EQ(r.verdict.evidence, (std::vector<std::uint32_t>{0, 1}));
}

TEST(ArgumentRules, WhoReadsItMayBeAllThatIsKnown) {
  Report r = given(1004);
  r.hops[1].location->owner->variable = "arguments";
  EXPECT_FALSE(mismatched_argument(r));
  r.hops[1].source.emplace().description = "unnamed argument of log_line";
  EXPECT_TRUE(mismatched_argument(r));
  r.hops[1].backtrace.erase(r.hops[1].backtrace.begin());
  EXPECT_FALSE(mismatched_argument(r)) << "who called it is not known";
}

TEST(ArgumentRules, WhatMayBeAPointerIsNoMismatch) {
  Report pointer = given(0x7f32'5b1c'6000);
  EXPECT_FALSE(mismatched_argument(pointer));
  Report low = given(0x40'2000);
  EXPECT_FALSE(mismatched_argument(low));
  low.hops[2].bytes = report::ValueBytes{0, 4};
  EXPECT_TRUE(mismatched_argument(low)) << "it was an int";
  Report null = given(0);
  EXPECT_FALSE(mismatched_argument(null));
}

}  // namespace
}  // namespace culprit::verdict
