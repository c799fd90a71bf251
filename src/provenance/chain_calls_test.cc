// The side branches of a block's hops: what the allocator was asked for.
#include <gtest/gtest.h>

#include <cstdint>
#include <string_view>

#include "provenance/testing/chain_bench.h"
#include "provenance/testing/live_image.h"
#include "provenance/testing/scripted_replay.h"
#include "report/suspect_words.h"

namespace culprit::provenance {
namespace {

using testing::ChainBench;
using testing::Event;
using testing::ScriptedReplay;

/// This process's allocator, and calls of it that were written down.
class BlockCalls : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(live_.image().heap(), nullptr);
    chain_.report().hops.emplace_back();  // the block's
  }
  /// The next call of the function with that name, at its entry.
  replay::HeapCall call(std::string_view name, std::uint64_t rdi, std::uint64_t rsi = 0,
                        std::uint64_t rdx = 0) {
    replay::HeapCall out;
    const auto& functions = live_.image().heap()->functions;
    while (out.function < functions.size() && functions[out.function].name != name) ++out.function;
    EXPECT_LT(out.function, functions.size()) << name;
    if (out.function == functions.size()) return out;
    Event event;
    event.kind = replay::ProbeKind::execute;
    event.address = functions[out.function].address;
    event.registers.rip = event.address.value;
    event.registers[Gpr::rdi] = rdi;
    event.registers[Gpr::rsi] = rsi;
    event.registers[Gpr::rdx] = rdx;
    event.registers[Gpr::rsp] = 0x7000'0000 + 0x100 * replay_.events.size();
    replay_.events.push_back(event);
    out.registers = event.registers;
    out.position = {event.thread, event.process, 0, replay_.events.size()};
    return out;
  }

  testing::LiveImage live_;
  ScriptedReplay replay_;
  ChainBench chain_{replay_, live_.image()};
};

TEST_F(BlockCalls, TheSizeIsTheArgumentOfThatCall) {
  replay::HeapBlock block;
  (void)call("malloc", 11);
  block.allocated = call("malloc", 4096);
  (void)call("malloc", 12);
  chain_.add_size_of_block(block, 0);
  const auto& hops = chain_.report().hops;
  ASSERT_EQ(hops.size(), 2U);
  EXPECT_FALSE(hops[1].main_line);
  EXPECT_EQ(hops[1].parent, 0U);
  EXPECT_EQ(hops[1].value_after, 4096U);
  EXPECT_EQ(hops[1].position.thread, testing::kThread);
  ASSERT_TRUE(hops[1].source);
  EXPECT_EQ(hops[1].source->description, report::kAskedSize);
  EXPECT_NE(hops[1].summary.find("malloc"), std::string::npos) << hops[1].summary;
}

TEST_F(BlockCalls, WhichArgumentIsTheSizeDependsOnTheFunction) {
  replay::HeapBlock block;
  block.allocated = call("realloc", 0x5000, 77);
  chain_.add_size_of_block(block, 0);
  block.allocated = call("posix_memalign", 0x6000, 64, 88);
  chain_.add_size_of_block(block, 0);
  const auto& hops = chain_.report().hops;
  ASSERT_EQ(hops.size(), 3U);
  EXPECT_EQ(hops[1].value_after, 77U);
  EXPECT_EQ(hops[2].value_after, 88U);
}

TEST_F(BlockCalls, AProductOfTwoIsNoSizeThatWrapped) {
  replay::HeapBlock block;
  block.allocated = call("calloc", 3, 4);
  chain_.add_size_of_block(block, 0);
  EXPECT_EQ(chain_.report().hops.size(), 1U);
  EXPECT_TRUE(replay_.passes.empty());
}

TEST_F(BlockCalls, ACallThatCannotBeToldFromAnotherSaysNothing) {
  replay::HeapBlock block;
  block.allocated = call("malloc", 64);
  replay_.events.push_back(replay_.events.back());
  chain_.add_size_of_block(block, 0);
  EXPECT_EQ(chain_.report().hops.size(), 1U);
}

TEST_F(BlockCalls, OnlyAReleaseIsLookedUpAsOne) {
  replay::HeapBlock block;
  block.allocated = call("malloc", 64);
  chain_.add_first_release(block, 0);
  EXPECT_TRUE(replay_.passes.empty()) << "it lives";
  block.released = call("realloc", 0x5000, 128);
  chain_.add_first_release(block, 0);
  EXPECT_TRUE(replay_.passes.empty()) << "a resize takes no pointer away from anybody";
  block.released = call("free", 0x5000);
  chain_.add_first_release(block, 0);
  EXPECT_EQ(replay_.passes.size(), 2U) << "which call it was, and its stack";
}

}  // namespace
}  // namespace culprit::provenance
