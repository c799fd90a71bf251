#include <gtest/gtest.h>

#include "verdict/judge.h"
#include "verdict/rules.h"
#include "verdict/test_chains.h"

namespace culprit::verdict {
namespace {

using report::BugClass;
using report::HopKind;
using report::RegionKind;
using testing::chain;
using testing::hop;
using testing::object;

report::Report of_number(const std::string& type, const std::string& kind) {
  report::Hop store = hop(HopKind::store, "publish");
  store.location = object(RegionKind::global, 0x5000, 8);
  store.location->owner->variable = "head";
  store.location->owner->type = type;
  report::Report out = chain({store, hop(HopKind::origin, "tag")});
  out.verdict.stopped_because = report::StopReason::arithmetic;
  out.crash.runtime = "go";
  out.crash.kind = kind;
  return out;
}

TEST(GoRules, ANumberUsedAsAPointerIsBlamedOnWhoMadeIt) {
  report::Report report = of_number("uintptr", "go_unexpected_fault");
  judge(report);
  EXPECT_EQ(report.verdict.bug_class, BugClass::go_unsafe_pointer);
  EXPECT_EQ(report.verdict.cause->function, "tag");
  EXPECT_EQ(report.verdict.confidence, report::Confidence::likely);
}

TEST(GoRules, APointerTypeIsNoNumber) {
  report::Report report = of_number("*main.node", "go_unexpected_fault");
  EXPECT_FALSE(unsafe_pointer_in_go(report));
  report = of_number("uintptr", "signal");
  EXPECT_FALSE(unsafe_pointer_in_go(report)) << "the runtime said something else";
  report = of_number("uintptr", "go_unexpected_fault");
  report.crash.runtime = "none";
  EXPECT_FALSE(unsafe_pointer_in_go(report));
}

TEST(GoRules, WhatTheCheckerStoppedIsBlamedOnTheCodeThatAskedIt) {
  report::Report report = of_number("*main.node", "go_checkptr");
  judge(report);
  EXPECT_EQ(report.verdict.bug_class, BugClass::go_unsafe_pointer);
  EXPECT_EQ(report.verdict.cause->function, "reader");
}

report::Frame go_frame(const std::string& function, std::uint32_t line, std::int64_t goroutine) {
  report::Frame frame;
  frame.function = function;
  frame.file = "/x/map.go";
  frame.line = line;
  frame.goroutine = goroutine;
  return frame;
}

TEST(GoRules, AMapThatTwoGoroutinesUsedIsBlamedOnTheOneThatWasWriting) {
  report::Hop store = hop(HopKind::store, "internal/runtime/maps.(*Map).PutSlot");
  store.backtrace = {go_frame("internal/runtime/maps.(*Map).PutSlot", 500, 6),
                     go_frame("runtime.mapassign", 600, 6), go_frame("main.warm", 22, 6)};
  report::Report report = chain({store});
  report.hops.front().backtrace = {go_frame("main.fill", 15, 5)};
  report.crash.runtime = "go";
  report.crash.kind = "go_concurrent_map";
  judge(report);
  EXPECT_EQ(report.verdict.bug_class, BugClass::data_race);
  EXPECT_EQ(report.verdict.cause->function, "main.warm");
  EXPECT_EQ(report.verdict.cause->line, 22U);
  EXPECT_NE(report.verdict.explanation.find("main.fill (map.go:15) in goroutine 5"),
            std::string::npos)
      << report.verdict.explanation;
  EXPECT_NE(report.verdict.explanation.find("main.warm (map.go:22) in goroutine 6"),
            std::string::npos)
      << report.verdict.explanation;

  report.crash.kind = "go_fatal_error";
  EXPECT_FALSE(shared_go_map(report));
}

TEST(GoRules, AMapWhoseOtherUserIsNotFoundIsStillARace) {
  report::Report report = chain({});
  report.crash.runtime = "go";
  report.crash.kind = "go_concurrent_map";
  judge(report);
  EXPECT_EQ(report.verdict.bug_class, BugClass::data_race);
  EXPECT_EQ(report.verdict.confidence, report::Confidence::likely);
}

TEST(GoRules, AConstantOverAReturnAddressIsNoWrongConstant) {
  report::Hop store = hop(HopKind::store, "main.smash");
  report::Report report = chain({store});
  report.verdict.stopped_because = report::StopReason::constant;
  report.crash.runtime = "go";
  report.crash.kind = "go_unexpected_return";
  judge(report);
  EXPECT_EQ(report.verdict.bug_class, BugClass::stack_buffer_overflow);
  EXPECT_EQ(report.verdict.cause->function, "main.smash");
}

}  // namespace
}  // namespace culprit::verdict
