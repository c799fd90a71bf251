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

}  // namespace
}  // namespace culprit::verdict
