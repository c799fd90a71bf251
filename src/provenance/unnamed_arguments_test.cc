#include "provenance/unnamed_arguments.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>

#include "x86/testing/snippet.h"
#include "x86/testing/stepped_program.h"

namespace culprit::provenance {
namespace {

constexpr Address kEntry{0x40'1000};
constexpr Address kCfa{0x7fff'0000'1000};

// As gcc -O2 begins a function: the frame through rsp.
SNIPPET(by_stack_pointer,
        "sub rsp, 0xd8\n mov [rsp+0x28], rsi\n mov [rsp+0x30], rdx\n mov [rsp+0x38], rcx\n"
        "mov [rsp+0x40], r8\n mov [rsp+0x48], r9\n test al, al\n je 1f\n"
        "movaps [rsp+0x50], xmm0\n 1: lea rax, [rsp+0xe0]\n ret")
// As gcc -O0 does: through rbp, with the test first, and another register saved.
SNIPPET(by_frame_pointer,
        "push rbp\n mov rbp, rsp\n push rbx\n sub rsp, 0xc0\n mov [rbp-0xb8], rdx\n mov rcx, rbx\n"
        "mov [rbp-0xb0], rcx\n mov [rbp-0xa8], r8\n call 1f\n mov [rbp-0xa0], r9\n 1: ret")
SNIPPET(realigned, "mov [rsp-0x10], rsi\n and rsp, -64\n mov [rsp+8], rdx\n ret")

SavedArguments saved(std::span<const std::byte> code) {
  const x86::testing::CodeReader reader(kEntry, code);
  return saved_arguments(reader, kEntry);
}

TEST(UnnamedArguments, TheSavedRegisters) {
  const SavedArguments plain = saved(by_stack_pointer());
  EXPECT_FALSE(plain[0]);
  EXPECT_EQ(plain[1], -0xe0 + 0x28);
  EXPECT_EQ(plain[5], -0xe0 + 0x48);
  const SavedArguments framed = saved(by_frame_pointer());
  EXPECT_EQ(framed[2], -16 - 0xb8);
  EXPECT_FALSE(framed[3]) << "rcx was something else by then";
  EXPECT_EQ(framed[4], -16 - 0xa8);
  EXPECT_FALSE(framed[5]) << "behind a call it is no argument any more";
  const SavedArguments odd = saved(realigned());
  EXPECT_EQ(odd[1], -8 - 0x10);
  EXPECT_FALSE(odd[2]) << "where the stack pointer is by then is not known";
  const x86::testing::CodeReader reader(kEntry, realigned());
  EXPECT_EQ(saved_arguments(reader, Address{0x1000}), SavedArguments{});
}

Moment called(bool variadic) {
  Moment moment;
  for (std::uint64_t i = 0; i < 3; ++i) {  // a callee, the function, its caller
    WalkFrame frame;
    const std::uint64_t cfa = kCfa.value + 0x100 * i - 0x100;
    frame.frame.cfa = Address{cfa};
    frame.frame.registers.set(Gpr::rsp, i == 0 ? cfa - 0x40 : cfa - 0x100);
    frame.code.entry = kEntry;
    frame.code.variadic = variadic && i == 1;
    moment.frames.push_back(frame);
  }
  return moment;
}

TEST(UnnamedArguments, WhichOneAnAddressIsIn) {
  const x86::testing::CodeReader code(kEntry, by_stack_pointer());
  const Moment moment = called(true);
  const auto second = unnamed_argument(moment, kCfa + (-0xe0 + 0x28), code);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->frame, 1U);
  EXPECT_EQ(second->position, 2U);
  EXPECT_TRUE(unnamed_argument(moment, kCfa + (-0xe0 + 0x2c), code)) << "a part of it";
  EXPECT_FALSE(unnamed_argument(moment, kCfa + (-0xe0 + 0x20), code));
  const auto on_stack = unnamed_argument(moment, kCfa + 8, code);
  ASSERT_TRUE(on_stack);
  EXPECT_EQ(on_stack->frame, 1U);
  EXPECT_FALSE(on_stack->position);
  EXPECT_FALSE(unnamed_argument(called(false), kCfa + 8, code));
  EXPECT_FALSE(unnamed_argument(called(false), kCfa + (-0xe0 + 0x28), code));
  EXPECT_FALSE(unnamed_argument(moment, Address{0x5000}, code));
}

}  // namespace
}  // namespace culprit::provenance
