// Computations whose only other input is a constant: the value is the other input in another dress.
#include <gtest/gtest.h>

#include <vector>

#include "provenance/slice/window_slice.h"
#include "x86/instruction.h"
#include "x86/testing/snippet.h"
#include "x86/testing/stepped_program.h"

namespace culprit::provenance {
namespace {

using x86::whole;

constexpr Address kStart{0x40'1000};
constexpr std::uint64_t kWord = 0x5a5b'7f32'5b1c'6000;

/// Straight code of which each instruction ran once; `set` is what rax was behind each of them.
WindowSlice slice_of(std::span<const std::byte> code, const std::vector<std::uint64_t>& rax,
                     const std::vector<std::uint64_t>& rdx) {
  const x86::testing::CodeReader reader(kStart, code);
  Registers now;
  for (auto& r : now.gpr) r = 0x1000;
  std::vector<Registers> steps;
  std::size_t at = 0;
  for (std::size_t i = 0; at < code.size(); ++i) {
    now.rip = kStart.value + at;
    steps.push_back(now);
    at += x86::outline(code.subspan(at), kStart)->length;
    now[Gpr::rax] = rax.at(i);
    now[Gpr::rdx] = rdx.at(i);
  }
  now.rip = kStart.value + at;
  WindowQuery query;
  query.steps = steps;
  query.final_registers = now;
  query.code = &reader;
  query.asked = whole(Gpr::rax);
  auto slice = slice_window(query);
  EXPECT_TRUE(slice.ok());
  return slice.ok() ? *std::move(slice) : WindowSlice{};
}

const WindowPiece& end_of(const WindowSlice& slice) {
  return slice.pieces.at(slice.main_line().back());
}

SNIPPET(mask, "movabs rdx, 0xffffffffff\n mov rax, [rdi]\n and rax, rdx")

TEST(ConstantInputs, AMaskedWord) {
  const std::uint64_t m = 0xff'ffff'ffff;
  const auto slice = slice_of(mask(), {0x1000, kWord, kWord & m}, {m, m, m});
  ASSERT_EQ(slice.transformations.size(), 1U);
  EXPECT_EQ(slice.transformations[0].constant, m);
  EXPECT_TRUE(slice.transformations[0].carries);
  EXPECT_EQ(end_of(slice).origin.kind, OriginKind::memory);
  EXPECT_EQ(end_of(slice).origin.place, Place(ByteRange{Address{0x1000}, 8}));
}

SNIPPET(secret, "movabs rax, 0x5db1e9955bd1e995\n xor rax, [rdi]")

TEST(ConstantInputs, AnXorIsUndone) {
  const std::uint64_t key = 0x5db1'e995'5bd1'e995;
  const auto slice = slice_of(secret(), {key, key ^ kWord}, {0, 0});
  ASSERT_EQ(slice.transformations.size(), 1U);
  const auto& values = slice.transformations[0].input_values;
  ASSERT_EQ(values.size(), 2U);
  EXPECT_TRUE(values[0] == kWord || values[1] == kWord);
  const WindowPiece& end = end_of(slice);
  EXPECT_EQ(end.origin.kind, OriginKind::memory);
  ASSERT_EQ(end.value.size(), 8U);
  EXPECT_EQ(std::to_integer<int>(end.value[7]), 0x5a);
}

SNIPPET(shifts, "mov rax, [rdi]\n shl rax, 24\n shr rax, 24")

TEST(ConstantInputs, ShiftsOfAWideWord) {
  const auto slice = slice_of(shifts(), {kWord, kWord << 24, (kWord << 24) >> 24}, {0, 0, 0});
  EXPECT_EQ(end_of(slice).origin.kind, OriginKind::memory);
}

SNIPPET(tag, "mov rax, [rdi]\n mov edx, 0xfffa\n shl rdx, 48\n or rax, rdx")

TEST(ConstantInputs, AConstantMayItselfBeComputed) {
  const std::uint64_t pointer = 0x7f32'5b1c'6000;
  const std::uint64_t t = std::uint64_t{0xfffa} << 48;
  const auto slice = slice_of(tag(), {pointer, pointer, pointer, pointer | t}, {0, 0xfffa, t, t});
  EXPECT_EQ(end_of(slice).origin.kind, OriginKind::memory);
}

SNIPPET(two, "mov rax, [rdi]\n mov rdx, [rsi]\n xor rax, rdx")

TEST(ConstantInputs, OfTwoVariablesNoneIsTheValue) {
  const auto slice = slice_of(two(), {kWord, kWord, kWord ^ 0x1234}, {0, 0x1234, 0x1234});
  EXPECT_EQ(end_of(slice).origin.kind, OriginKind::transformation);
}

SNIPPET(small, "movabs rdx, 0xf\n mov rax, [rdi]\n and rax, rdx")

TEST(ConstantInputs, SmallNumbersArePartsOfNumbers) {
  const auto slice = slice_of(small(), {0, 0x123, 3}, {15, 15, 15});
  EXPECT_EQ(end_of(slice).origin.kind, OriginKind::transformation);
}

SNIPPET(tagged_address, "lea rax, [rip+0x100]\n movabs rdx, 0x30000000000\n or rax, rdx")

// Who put the tag on the address of something of the program's own has made the value.
TEST(ConstantInputs, TheAddressOfAGlobalIsAConstant) {
  const std::uint64_t address = kStart.value + 7 + 0x100;
  const std::uint64_t tag = 0x300'0000'0000;
  const auto slice =
      slice_of(tagged_address(), {address, address, address | tag}, {0x1000, tag, tag});
  ASSERT_FALSE(slice.transformations.empty());
  EXPECT_FALSE(slice.transformations[0].carries);
}

}  // namespace
}  // namespace culprit::provenance
