// Values that a system call brought into a slot from elsewhere.
#include <gtest/gtest.h>
#include <sys/syscall.h>

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
constexpr Address kSlot{0x7000'1000};
constexpr std::uint64_t kBad = 0xdead'beef'0000;

SNIPPET(store, "mov [r8], rax\n nop")

Event stored(std::uint64_t value) {
  return testing::stored(kSlot, value, kCode + 3, Address{0x7fff'0000});
}

class OlderBytes : public ::testing::Test {
 protected:
  void SetUp() override {
    replay_.load(kCode, store());
    chain_.report().hops.emplace_back();
    chain_.link() = Link{Slot{kSlot, 8, kBad}, SourcePlace{}, replay::Mark{}, std::nullopt};
  }
  /// A call changed the slot as the newest thing that happened.
  WriterHit by_call(std::uint64_t number) {
    WriterHit change;
    change.hit.kernel = replay::Hit::Kernel{};
    change.hit.kernel->syscall = static_cast<decltype(change.hit.kernel->syscall)>(number);
    change.hit.position = {testing::kThread, testing::kProcess, 1, 9};
    return change;
  }

  ScriptedReplay replay_;
  ChainBench chain_{replay_, bare_image()};
};

TEST_F(OlderBytes, TheLastStoreIsTheNewestWhateverItsValue) {
  replay_.events = {stored(kBad), stored(5), stored(6)};
  Event input = stored(kBad);
  input.kernel = replay::Hit::Kernel{};
  replay_.events.push_back(input);
  chain_.add_last_store(0);
  const auto& hops = chain_.report().hops;
  ASSERT_EQ(hops.size(), 2U);
  EXPECT_EQ(hops[1].value_after, 6U);
  EXPECT_FALSE(hops[1].main_line);
  EXPECT_EQ(hops[1].parent, 0U);
  EXPECT_EQ(hops[1].writer.pc, kCode);
  EXPECT_NE(hops[1].summary.find("the last store of this process there"), std::string::npos);
}

TEST_F(OlderBytes, WithoutAStoreNothingIsSaid) {
  Event input = stored(kBad);
  input.kernel = replay::Hit::Kernel{};
  replay_.events = {input};
  chain_.add_last_store(0);
  EXPECT_EQ(chain_.report().hops.size(), 1U);
  Event other = stored(7);
  other.process = ProcessId{77};
  replay_.events = {other};
  chain_.add_last_store(0);
  EXPECT_EQ(chain_.report().hops.size(), 1U) << "another process's memory";
}

TEST_F(OlderBytes, OnlyWhatReplacesMemoryHasThem) {
  replay_.events = {stored(5)};
  EXPECT_FALSE(chain_.follow_older_bytes(by_call(SYS_mmap))) << "what was there is not known";
  WriterHit same = by_call(SYS_mmap);
  same.hit.before_known = true;
  same.hit.value_before = kBad;
  EXPECT_FALSE(chain_.follow_older_bytes(same)) << "the value was there before the call";
  WriterHit instruction = by_call(SYS_mremap);
  instruction.hit.kernel.reset();
  EXPECT_FALSE(chain_.follow_older_bytes(instruction));
  WriterHit first = by_call(SYS_mremap);
  first.hit.position.syscalls = 0;
  EXPECT_FALSE(chain_.follow_older_bytes(first));
  EXPECT_TRUE(replay_.passes.empty());
  // Moved pages had their bytes before, whether or not those could be read.
  EXPECT_FALSE(chain_.follow_older_bytes(by_call(SYS_mremap))) << "this trace does not say where";
  ASSERT_FALSE(replay_.passes.empty());
  EXPECT_EQ(replay_.passes[0].end.kind, replay::Mark::Kind::syscall_entry);
}

}  // namespace
}  // namespace culprit::provenance
