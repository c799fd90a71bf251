#include "agent/stepped_instruction.h"

#include <gtest/gtest.h>

#include <vector>

namespace culprit::agent {
namespace {

SteppedKind kind(std::vector<std::uint8_t> bytes) { return stepped_kind(bytes); }

TEST(SteppedInstruction, CountsEachConditionalBranch) {
  for (int cc = 0; cc < 16; ++cc) {
    const auto short_form = static_cast<std::uint8_t>(0x70 + cc);
    const auto long_form = static_cast<std::uint8_t>(0x80 + cc);
    EXPECT_EQ(kind({short_form, 0x10}), SteppedKind::conditional_branch);
    EXPECT_EQ(kind({0x0f, long_form, 1, 0, 0, 0}), SteppedKind::conditional_branch);
  }
  EXPECT_EQ(kind({0xe0, 0xfe}), SteppedKind::conditional_branch);        // loopne
  EXPECT_EQ(kind({0xe1, 0xfe}), SteppedKind::conditional_branch);        // loope
  EXPECT_EQ(kind({0xe2, 0xfe}), SteppedKind::conditional_branch);        // loop
  EXPECT_EQ(kind({0xe3, 0xfe}), SteppedKind::conditional_branch);        // jrcxz
  EXPECT_EQ(kind({0x2e, 0x74, 0x05}), SteppedKind::conditional_branch);  // with a branch hint
  EXPECT_EQ(kind({0xf2, 0x75, 0x05}), SteppedKind::conditional_branch);  // bnd jne
  EXPECT_EQ(kind({0x67, 0xe3, 0x05}), SteppedKind::conditional_branch);  // jecxz
}

TEST(SteppedInstruction, CountsNothingElse) {
  EXPECT_EQ(kind({0xeb, 0x10}), SteppedKind::other);              // jmp
  EXPECT_EQ(kind({0xe9, 1, 0, 0, 0}), SteppedKind::other);        // jmp
  EXPECT_EQ(kind({0xe8, 1, 0, 0, 0}), SteppedKind::other);        // call
  EXPECT_EQ(kind({0xc3}), SteppedKind::other);                    // ret
  EXPECT_EQ(kind({0x0f, 0x45, 0xc1}), SteppedKind::other);        // cmovne
  EXPECT_EQ(kind({0x0f, 0x95, 0xc0}), SteppedKind::other);        // setne
  EXPECT_EQ(kind({0xf3, 0x48, 0xa5}), SteppedKind::other);        // rep movsq
  EXPECT_EQ(kind({0xf3, 0x0f, 0xb8, 0x75}), SteppedKind::other);  // popcnt: 0x75 is no opcode here
  EXPECT_EQ(kind({0xc5, 0xf8, 0x77}), SteppedKind::other);        // vzeroupper
  EXPECT_EQ(kind({0x9d}), SteppedKind::other);                    // popf
}

TEST(SteppedInstruction, KnowsWhatAStepMustTreatWithCare) {
  EXPECT_EQ(kind({0x0f, 0x05}), SteppedKind::system_call);
  EXPECT_EQ(kind({0x0f, 0x34}), SteppedKind::system_call);
  EXPECT_EQ(kind({0xcd, 0x80}), SteppedKind::system_call);
  EXPECT_EQ(kind({0x48, 0x0f, 0x05}), SteppedKind::system_call);
  EXPECT_EQ(kind({0x9c}), SteppedKind::push_flags);
  EXPECT_EQ(kind({0x66, 0x9c}), SteppedKind::push_flags);
  EXPECT_EQ(kind({0xcc, 0x05}), SteppedKind::breakpoint);
  EXPECT_EQ(kind({0xcd, 0x03}), SteppedKind::breakpoint);
}

TEST(SteppedInstruction, ReadsNoFurtherThanItsBytes) {
  EXPECT_EQ(kind({}), SteppedKind::other);
  EXPECT_EQ(kind({0x0f}), SteppedKind::other);
  EXPECT_EQ(kind({0xcd}), SteppedKind::other);
  EXPECT_EQ(kind(std::vector<std::uint8_t>(15, 0x66)), SteppedKind::other);
  EXPECT_EQ(kind(std::vector<std::uint8_t>(40, 0x66)), SteppedKind::other);
}

}  // namespace
}  // namespace culprit::agent
