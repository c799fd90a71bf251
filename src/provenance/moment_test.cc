#include "provenance/moment.h"

#include <gtest/gtest.h>

namespace culprit::provenance {
namespace {

WalkFrame frame(std::uint64_t sp, std::uint64_t cfa) {
  WalkFrame out;
  out.frame.registers.set(Gpr::rsp, sp);
  if (cfa != 0) out.frame.cfa = Address{cfa};
  return out;
}

TEST(Moment, FindsTheFrameThatHoldsAnAddress) {
  Moment moment;
  moment.frames = {frame(0x1000, 0x1100), frame(0x1100, 0x1180)};
  EXPECT_EQ(moment.frame_of(Address{0x1000}), 0u);
  EXPECT_EQ(moment.frame_of(Address{0x10ff}), 0u);
  EXPECT_EQ(moment.frame_of(Address{0x1100}), 1u);
  EXPECT_EQ(moment.frame_of(Address{0x1180}), std::nullopt);
}

TEST(Moment, TheRedZoneBelongsToTheInnermostFrame) {
  Moment moment;
  moment.frames = {frame(0x1000, 0x1100)};
  EXPECT_EQ(moment.frame_of(Address{0x0fff}), 0u);
  EXPECT_EQ(moment.frame_of(Address{0x0f80}), 0u);
  EXPECT_EQ(moment.frame_of(Address{0x0f7f}), std::nullopt);
}

TEST(Moment, AFrameWithoutACfaHoldsNothing) {
  Moment moment;
  moment.frames = {frame(0x1000, 0x1100), frame(0x1100, 0)};
  EXPECT_TRUE(moment.frames[1].extent().empty());
  EXPECT_EQ(moment.frame_of(Address{0x1108}), std::nullopt);
}

TEST(Moment, ACfaBelowTheStackPointerIsNoFrame) {
  EXPECT_TRUE(frame(0x2000, 0x1000).extent().empty());
}

}  // namespace
}  // namespace culprit::provenance
