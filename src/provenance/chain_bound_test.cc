// The bound of a loop that counted too far.
#include <gtest/gtest.h>

#include "provenance/testing/chain_bench.h"
#include "provenance/testing/scripted_replay.h"
#include "report/suspect_words.h"

namespace culprit::provenance {
namespace {

using testing::bare_image;
using testing::ChainBench;
using testing::ScriptedReplay;

constexpr Address kCompare{0x40'1000};
constexpr Address kCount{0x7000'1000};

class WayOfBound : public ::testing::Test {
 protected:
  void SetUp() override {
    chain_.report().hops.emplace_back();
    chain_.report().verdict.stopped_because = report::StopReason::arithmetic;
    moment_.frames.emplace_back().code.function = {kCompare, 0x100};
    LoopBound bound;
    bound.pc = kCompare + 0x10;
    bound.memory = ByteRange{kCount, 4};
    bound.size = 4;
    bound.counter = 0x21;
    index_.bound = bound;
    index_.bound_place.emplace().location.address = kCount;
    index_.bound_value = 0x40;
  }
  std::size_t hops() { return chain_.report().hops.size(); }

  ScriptedReplay replay_;
  ChainBench chain_{replay_, bare_image()};
  Moment moment_;
  ResolvedSource index_;
};

TEST_F(WayOfBound, InMemoryIsASideBranchOfTheCrash) {
  chain_.add_way_of_bound(index_, moment_);
  ASSERT_EQ(hops(), 2U);
  const report::Hop& hop = chain_.report().hops[1];
  EXPECT_FALSE(hop.main_line);
  EXPECT_EQ(hop.parent, 0U);
  EXPECT_EQ(hop.value_after, 0x40U);
  ASSERT_TRUE(hop.source);
  EXPECT_EQ(hop.source->description, report::kLoopBound);
  EXPECT_EQ(hop.confidence, report::Confidence::likely) << "another comparison may have mattered";
  EXPECT_NE(hop.summary.find("0x21 was compared with 0x40"), std::string::npos) << hop.summary;
  ASSERT_FALSE(replay_.passes.empty()) << "who wrote the bound is looked for";
  const auto& probe = replay_.passes[0].probes.at(0);
  EXPECT_EQ(probe.address, kCount);
  EXPECT_EQ(probe.size, 4U);
}

TEST_F(WayOfBound, OnlyWhereAnIndexWasComputed) {
  chain_.report().verdict.stopped_because = report::StopReason::constant;
  chain_.add_way_of_bound(index_, moment_);
  EXPECT_EQ(hops(), 1U);
}

TEST_F(WayOfBound, NotFromAnotherFunctionsComparison) {
  moment_.frames.front().code.function = {Address{0x50'0000}, 0x100};
  chain_.add_way_of_bound(index_, moment_);
  EXPECT_EQ(hops(), 1U);
}

TEST_F(WayOfBound, AnUnknownValueIsNoBound) {
  index_.bound_value.reset();
  chain_.add_way_of_bound(index_, moment_);
  EXPECT_EQ(hops(), 1U);
  index_.bound_value = 0x40;
  index_.bound.reset();
  chain_.add_way_of_bound(index_, moment_);
  EXPECT_EQ(hops(), 1U);
}

}  // namespace
}  // namespace culprit::provenance
