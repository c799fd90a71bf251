#include "provenance/slice/loop_bound.h"

#include <gtest/gtest.h>

#include <vector>

#include "x86/instruction.h"
#include "x86/testing/snippet.h"
#include "x86/testing/stepped_program.h"

namespace culprit::provenance {
namespace {

constexpr Address kStart{0x40'1000};

// 0: load, 1: add, 2: compare, 3: jump
SNIPPET(counted, "1: movzx eax, byte ptr [rsi+rcx]\n add rcx, 0x100\n cmp rcx, rdx\n jb 1b")
SNIPPET(in_memory, "1: mov rax, [rbp-0x20]\n add rax, 0x100\n cmp rax, [rbp-0x38]\n jb 1b")
SNIPPET(constant, "1: movzx eax, byte ptr [rsi+rcx]\n add rcx, 0x100\n cmp rcx, 0x7000\n jb 1b")
SNIPPET(tested, "1: movzx eax, byte ptr [rsi+rcx]\n add rcx, 0x100\n test rcx, rcx\n jne 1b")

/// `turns` turns of a loop of four instructions whose second one adds 0x100 to `counter`.
std::vector<Registers> turns(std::span<const std::byte> code, Gpr counter, int count) {
  std::vector<std::uint64_t> starts;
  for (std::size_t at = 0; at < code.size();) {
    starts.push_back(kStart.value + at);
    at += x86::outline(code.subspan(at), kStart)->length;
  }
  Registers now;
  for (auto& r : now.gpr) r = 0x7f00'0000;
  now[Gpr::rdx] = 0xffff'ffff'ffff'fff8;
  now[counter] = 0;
  std::vector<Registers> steps;
  for (int turn = 0; turn < count; ++turn) {
    for (std::size_t i = 0; i < starts.size(); ++i) {
      now.rip = starts[i];
      steps.push_back(now);
      if (i == 1) now[counter] = 0x100 * static_cast<std::uint64_t>(turn + 1);
    }
  }
  return steps;
}

std::optional<LoopBound> bound_of(std::span<const std::byte> code, Gpr counter, int count,
                                  std::vector<std::uint64_t> counters) {
  const x86::testing::CodeReader reader(kStart, code);
  return find_loop_bound(turns(code, counter, count), reader, ByteRange{kStart, code.size()},
                         counters);
}

TEST(LoopBound, IsWhatTheCounterWasComparedWith) {
  const auto bound = bound_of(counted(), Gpr::rcx, 3, {0x300});
  ASSERT_TRUE(bound);
  EXPECT_EQ(bound->reg, Gpr::rdx);
  EXPECT_EQ(bound->value, 0xffff'ffff'ffff'fff8U);
  EXPECT_EQ(bound->counter, 0x300U);
  EXPECT_FALSE(bound->memory);
  const auto kept = bound_of(in_memory(), Gpr::rax, 3, {0x999, 0x300});
  ASSERT_TRUE(kept);
  EXPECT_FALSE(kept->reg);
  EXPECT_EQ(kept->memory, (ByteRange{Address{0x7f00'0000 - 0x38}, 8}));
}

TEST(LoopBound, IsNoneWhereNothingLoops) {
  EXPECT_FALSE(bound_of(counted(), Gpr::rcx, 1, {0x100}));
  EXPECT_FALSE(bound_of(counted(), Gpr::rcx, 3, {0x200})) << "not the newest turn's";
  EXPECT_FALSE(bound_of(counted(), Gpr::rcx, 3, {}));
  EXPECT_FALSE(bound_of(constant(), Gpr::rcx, 3, {0x300}));
  EXPECT_FALSE(bound_of(tested(), Gpr::rcx, 3, {0x300}));
  const x86::testing::CodeReader reader(kStart, counted());
  EXPECT_FALSE(find_loop_bound(turns(counted(), Gpr::rcx, 3), reader, ByteRange{Address{0x1000}, 8},
                               {0x300}));
}

}  // namespace
}  // namespace culprit::provenance
