// How a pointer came to the code that used it: when that is asked, and through which memories.
#include <gtest/gtest.h>

#include "provenance/testing/chain_bench.h"
#include "provenance/testing/scripted_replay.h"
#include "x86/testing/snippet.h"

namespace culprit::provenance {
namespace {

using testing::bare_image;
using testing::ChainBench;
using testing::Event;
using testing::ScriptedReplay;

constexpr Address kCode{0x40'1000};
constexpr Address kKept{0x7000'1000};
constexpr Address kCfa{0x7fff'0000};
constexpr std::uint64_t kPointer = 0x7000'2000;

SNIPPET(store, "mov [r8], rax\n nop")

Event kept(std::uint64_t value) { return testing::stored(kKept, value, kCode + 3, kCfa - 64); }

class WayOfPointer : public ::testing::Test {
 protected:
  void SetUp() override {
    replay_.load(kCode, store());
    report::Hop& crash = chain_.report().hops.emplace_back();
    crash.location.emplace();
    Link::Reader reader;
    reader.pc = kCode;
    reader.pointer = Gpr::rbp;
    WalkFrame& frame = reader.moment.frames.emplace_back();
    frame.frame.cfa = kCfa;
    frame.frame.registers.set(Gpr::rbp, kCfa.value - 16);
    chain_.first_reader() = std::move(reader);
    in_memory_.source.kind = ValueSource::Kind::memory;
    in_memory_.source.pc = kCode;
    in_memory_.source.address = kKept;
    in_memory_.source.size = 8;
  }
  std::vector<report::Hop>& hops() { return chain_.report().hops; }
  auto& phases() { return chain_.report().stats.phases; }
  /// Of a variable, as far as a report knows.
  void crash_read_variable() {
    hops()[0].location->region = report::RegionKind::stack;
    hops()[0].location->owner.emplace().variable = "v";
  }

  ScriptedReplay replay_;
  ChainBench chain_{replay_, bare_image()};
  ResolvedSource in_memory_;
};

TEST_F(WayOfPointer, GoesThroughTheMemoryThatKeptIt) {
  replay_.events = {kept(kPointer), kept(9), kept(kPointer)};
  chain_.follow_pointer(in_memory_, Moment{}, kPointer, 0);
  ASSERT_GE(hops().size(), 2U);
  EXPECT_FALSE(hops()[1].main_line);
  EXPECT_EQ(hops()[1].parent, 0U);
  EXPECT_EQ(hops()[1].value_after, kPointer);
  EXPECT_EQ(hops()[1].writer.pc, kCode);
  EXPECT_NE(hops()[1].summary.find("; the pointer was kept there"), std::string::npos)
      << hops()[1].summary;
  EXPECT_TRUE(chain_.looked_for_way_of_pointer());
}

TEST_F(WayOfPointer, EndsAtTheKernelAndWhereNobodyWrote) {
  replay_.events = {kept(9)};
  chain_.follow_pointer(in_memory_, Moment{}, kPointer, 0);
  EXPECT_EQ(hops().size(), 1U);
  Event input = kept(kPointer);
  input.kernel = replay::Hit::Kernel{};
  replay_.events = {input};
  ChainBench other(replay_, bare_image());
  other.report().hops.emplace_back();
  other.follow_pointer(in_memory_, Moment{}, kPointer, 0);
  ASSERT_EQ(other.report().hops.size(), 2U) << "that it came in there is said";
  EXPECT_EQ(other.report().hops[1].parent, 0U);
  EXPECT_EQ(other.report().hops[1].value_after, kPointer);
}

TEST_F(WayOfPointer, EndsWhereItWasMade) {
  ResolvedSource made;
  made.source.kind = ValueSource::Kind::immediate;
  made.source.pc = kCode;
  made.source.constant = kPointer;
  chain_.follow_pointer(made, Moment{}, kPointer, 0);
  ASSERT_EQ(hops().size(), 2U);
  EXPECT_EQ(hops()[1].kind, report::HopKind::origin);
  EXPECT_TRUE(hops()[1].summary.ends_with(": the pointer that was used")) << hops()[1].summary;
  made.source.pc = Address{};
  chain_.follow_pointer(made, Moment{}, kPointer, 0);
  EXPECT_EQ(hops().size(), 2U) << "nobody knows by what";
}

TEST_F(WayOfPointer, FourBytesAreNone) {
  in_memory_.source.size = 4;
  replay_.events = {kept(kPointer)};
  chain_.follow_pointer(in_memory_, Moment{}, kPointer, 0);
  EXPECT_EQ(hops().size(), 1U);
  EXPECT_TRUE(replay_.passes.empty());
}

TEST_F(WayOfPointer, TheFramePointerIsNoneOfTheProgram) {
  crash_read_variable();
  chain_.check_pointer_into_frame();
  EXPECT_TRUE(phases().empty());
  chain_.first_reader()->moment.frames[0].frame.registers.set(Gpr::rbp, kPointer);
  chain_.check_pointer_into_frame();
  EXPECT_EQ(phases().size(), 1U) << "rbp may hold anything";
}

TEST_F(WayOfPointer, IsAskedForWhatTheCrashReadInAVariableOnly) {
  chain_.first_reader()->pointer = Gpr::rax;
  hops()[0].location->region = report::RegionKind::stack;
  chain_.check_pointer_into_frame();
  EXPECT_TRUE(phases().empty()) << "a place without a name";
  crash_read_variable();
  hops()[0].location->region = report::RegionKind::heap;
  chain_.check_pointer_into_frame();
  EXPECT_TRUE(phases().empty());
  crash_read_variable();
  chain_.check_pointer_into_frame();
  EXPECT_EQ(phases().size(), 1U);
}

TEST_F(WayOfPointer, IsAskedForNumbersInTheHeap) {
  hops()[0].location->region = report::RegionKind::heap;
  chain_.report().verdict.stopped_because = report::StopReason::constant;
  chain_.check_pointer_to_number();
  EXPECT_TRUE(phases().empty());
  chain_.report().verdict.stopped_because = report::StopReason::arithmetic;
  chain_.check_pointer_to_number();
  EXPECT_EQ(phases().size(), 1U);
}

}  // namespace
}  // namespace culprit::provenance
