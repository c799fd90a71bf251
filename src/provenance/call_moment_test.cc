#include "provenance/call_moment.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "provenance/testing/scripted_replay.h"

namespace culprit::provenance {
namespace {

using testing::bare_image;
using testing::Event;
using testing::ScriptedReplay;

constexpr Address kFree{0x40'3000};

Event call(std::uint64_t pointer, std::uint64_t sp, std::uint64_t syscalls = 0) {
  Event event;
  event.kind = replay::ProbeKind::execute;
  event.address = kFree;
  event.registers.rip = kFree.value;
  event.registers[Gpr::rdi] = pointer;
  event.registers[Gpr::rsp] = sp;
  event.syscalls = syscalls;
  return event;
}

replay::HeapCall as_booked(const Event& event) {
  replay::HeapCall out;
  out.position.thread = event.thread;
  out.position.process = event.process;
  out.position.syscalls = event.syscalls;
  out.registers = event.registers;
  return out;
}

std::optional<Moment> find(ScriptedReplay& replay, const Event& wanted) {
  report::Stats stats;
  auto found = moment_of_call(replay, bare_image(), as_booked(wanted), replay::Mark{},
                              std::chrono::seconds(1), stats);
  EXPECT_TRUE(found.ok());
  EXPECT_EQ(stats.passes, replay.passes.size());
  return found.ok() ? *found : std::nullopt;
}

TEST(CallMoment, StandsAtTheCallThatTheBookHas) {
  ScriptedReplay replay;
  replay.events = {call(0x10, 0x7000), call(0x20, 0x7000), call(0x20, 0x7100), call(0x30, 0x7000)};
  const auto moment = find(replay, replay.events[2]);
  ASSERT_TRUE(moment);
  EXPECT_EQ(moment->mark.kind, replay::Mark::Kind::probe_hit);
  EXPECT_EQ(moment->mark.ordinal, 3U);
  EXPECT_EQ(moment->registers[Gpr::rdi], 0x20U);
  EXPECT_EQ(moment->registers[Gpr::rsp], 0x7100U);
}

TEST(CallMoment, SystemCallsTellCallsApart) {
  ScriptedReplay replay;
  replay.events = {call(0x10, 0x7000, 4), call(0x10, 0x7000, 6)};
  const auto moment = find(replay, replay.events[0]);
  ASSERT_TRUE(moment);
  EXPECT_EQ(moment->mark.ordinal, 1U);
}

TEST(CallMoment, CallsThatLookAlikeAreNotGuessed) {
  ScriptedReplay replay;
  replay.events = {call(0x10, 0x7000), call(0x10, 0x7000)};
  EXPECT_FALSE(find(replay, replay.events[0]));
  ScriptedReplay other;
  other.events = replay.events;
  EXPECT_FALSE(find(other, call(0x50, 0x7000))) << "never seen";
}

}  // namespace
}  // namespace culprit::provenance
