// What more can be said of an object that was used after its end.
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
using testing::place;

constexpr std::uint64_t kBlock = 0x5555'0000'1000;

Report freed(std::vector<report::Hop> more = {}) {
  report::Hop release = hop(HopKind::release, "finish");
  release.location = object(RegionKind::heap, kBlock, 32);
  release.location->owner->life.died.emplace().description = "free";
  release.position.event = EventNumber{200};
  release.backtrace = {frame("free"), frame("finish"), frame("serve")};
  release.backtrace[2].frame_address = Address{0x7fff'0000};
  std::vector<report::Hop> hops = {hop(HopKind::store, "next_owner"), release};
  for (report::Hop& one : more) {
    one.main_line = false;
    hops.push_back(one);
  }
  Report r = chain(std::move(hops));
  r.hops.front().position.thread = ThreadId{100};
  return r;
}

report::Hop swap(std::int64_t event) {
  report::Hop out = hop(HopKind::store, "pop");
  out.writer.instruction = "lock cmpxchg qword ptr [rdx], rcx";
  out.value_after = kBlock;
  out.position.event = EventNumber{event};
  return out;
}

TEST(Refine, ASwapThatCameAfterTheRelease) {
  Report r = freed({swap(300)});
  judge(r);
  EXPECT_EQ(r.verdict.bug_class, BugClass::aba);
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_EQ(r.verdict.evidence.back(), 3U);
  for (Report other : {freed({swap(100)}), freed({swap(200)})}) {
    judge(other);
    EXPECT_EQ(other.verdict.bug_class, BugClass::use_after_free) << "before it, or not known";
  }
  Report store = freed({swap(300)});
  store.hops[3].writer.instruction = "mov qword ptr [rdx], rcx";
  judge(store);
  EXPECT_EQ(store.verdict.bug_class, BugClass::use_after_free);
  Report elsewhere = freed({swap(300)});
  elsewhere.hops[3].value_after = kBlock + 64;
  judge(elsewhere);
  EXPECT_EQ(elsewhere.verdict.bug_class, BugClass::use_after_free);
}

TEST(Refine, AnotherThreadGaveItUp) {
  Report r = freed();
  r.hops[2].position.thread = ThreadId{101};
  judge(r);
  EXPECT_EQ(r.verdict.bug_class, BugClass::data_race);
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  Report parent = freed();
  parent.hops[2].position.thread = ThreadId{101};
  parent.hops[2].position.process = ProcessId{101};
  judge(parent);
  EXPECT_EQ(parent.verdict.bug_class, BugClass::use_after_free) << "before the fork";
  Report same = freed();
  judge(same);
  EXPECT_EQ(same.verdict.bug_class, BugClass::use_after_free);
  EXPECT_EQ(same.verdict.confidence, Confidence::proved);
}

TEST(Refine, TheScopeOfWhatKeptThePointerHadEnded) {
  report::Hop kept = hop(HopKind::store, "Policy");
  kept.location = object(RegionKind::stack, 0x7ffe'ff00, 8);
  kept.location->owner->variable = "policy";
  kept.location->owner->member = "rule_";
  kept.location->owner->frame = Address{0x7fff'0000};
  Report alive = freed({kept});
  judge(alive);
  EXPECT_EQ(alive.verdict.bug_class, BugClass::use_after_free);
  kept.location->owner->life.died.emplace().description = "its scope had ended";
  Report ended = freed({kept});
  judge(ended);
  EXPECT_EQ(ended.verdict.bug_class, BugClass::use_after_scope);
  kept.location->owner->member.clear();
  Report plain = freed({kept});
  judge(plain);
  EXPECT_EQ(plain.verdict.bug_class, BugClass::use_after_free)
      << "a pointer variable destroys nothing";
  kept.location->owner->member = "rule_";
  kept.location->owner->frame = Address{0x7fff'1000};
  Report elsewhere = freed({kept});
  judge(elsewhere);
  EXPECT_EQ(elsewhere.verdict.bug_class, BugClass::use_after_free) << "freed by somebody else";
}

report::Source input(std::uint64_t value, const std::string& instruction) {
  report::Source out;
  out.value = value;
  out.pc = Address{0x40'1000};
  out.instruction = instruction;
  return out;
}

Report overflow(std::uint64_t size, std::uint64_t a, std::uint64_t b,
                const std::string& instruction) {
  report::Hop store = hop(HopKind::store, "move");
  store.location = place(RegionKind::heap, kBlock + 64);
  report::Hop block = hop(HopKind::allocation, "init");
  block.location = object(RegionKind::heap, kBlock, 32);
  report::Hop asked = hop(HopKind::register_slice, "init");
  asked.main_line = false;
  asked.value_after = size;
  asked.source.emplace().description = "the size that was asked for";
  asked.inputs = {input(a, instruction), input(b, instruction)};
  return chain({store, block, asked});
}

TEST(Refine, ABlockWhoseSizeHadWrapped) {
  Report r = overflow(32, 0x1000'0002, 4, "shl eax, 0x04");
  judge(r);
  EXPECT_EQ(r.verdict.bug_class, BugClass::integer_overflow);
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_EQ(r.verdict.cause->function, "init");
  for (Report wraps : {overflow(32, 0x1000'0002, 16, "imul eax, edi, 0x10"),
                       overflow(4, 0xffff'fff4, 16, "add edi, 0x10")}) {
    judge(wraps);
    EXPECT_EQ(wraps.verdict.bug_class, BugClass::integer_overflow);
  }
  for (Report fits :
       {overflow(32, 2, 4, "shl eax, 0x04"), overflow(36, 0x1000'0002, 4, "shl eax, 0x04"),
        overflow(32, 0x1000'0002, 4, "shr eax, 0x04")}) {
    judge(fits);
    EXPECT_EQ(fits.verdict.bug_class, BugClass::heap_overflow);
  }
}

}  // namespace
}  // namespace culprit::verdict
