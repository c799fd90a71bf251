// Windows that are hard to get from a real run: system calls, signals, other threads, gaps, limits.
// Windows of real runs are in window_slice_hardware_test.cc.
#include "provenance/slice/window_slice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <optional>
#include <utility>

#include "x86/testing/snippet.h"
#include "x86/testing/stepped_program.h"

namespace culprit::provenance {
namespace {

using x86::RegisterBytes;
using x86::whole;

constexpr Address kStart{0x40'1000};

// A log written by hand: which instruction ran, and which registers it changed.
class Script {
 public:
  explicit Script(std::span<const std::byte> code) : code_(code), reader_(kStart, code) {
    for (std::size_t i = 0; i < 16; ++i) now_.gpr[i] = 0x7f00'0000'0000 + 0x10'0000 * i;
    for (std::size_t at = 0; at < code.size();) {
      starts_.push_back(kStart + static_cast<std::int64_t>(at));
      at += x86::outline(code.subspan(at), kStart)->length;
    }
    starts_.push_back(kStart + static_cast<std::int64_t>(code.size()));
  }

  Script& ran(std::size_t instruction,
              std::initializer_list<std::pair<Gpr, std::uint64_t>> changes = {}) {
    now_.rip = starts_.at(instruction).value;
    steps_.push_back(now_);
    for (const auto& [reg, value] : changes) now_[reg] = value;
    now_.rip = starts_.at(instruction + 1).value;
    return *this;
  }

  Registers& now() { return now_; }
  std::uint64_t get(Gpr r) const { return now_[r]; }
  Address pc(std::size_t instruction) const { return starts_.at(instruction); }
  std::vector<Registers>& steps() { return steps_; }

  WindowQuery query(Place asked) const {
    WindowQuery q;
    q.steps = steps_;
    q.final_registers = now_;
    q.code = &reader_;
    q.asked = asked;
    return q;
  }
  WindowSlice slice(Place asked) const {
    auto result = slice_window(query(asked));
    EXPECT_TRUE(result.ok());
    return result.ok() ? *result : WindowSlice{};
  }

 private:
  std::span<const std::byte> code_;
  x86::testing::CodeReader reader_;
  std::vector<Address> starts_;
  std::vector<Registers> steps_;
  Registers now_;
};

SNIPPET(plain, "mov rax, [rdi]\n mov [rsi], rax\n nop")

TEST(WindowSlice, ALoadAndAStore) {
  Script s(plain());
  s.ran(0, {{Gpr::rax, 0xabc}}).ran(1).ran(2);
  const Address slot{s.get(Gpr::rsi)};
  const auto slice = s.slice(ByteRange{slot, 8});
  ASSERT_EQ(slice.pieces.size(), 1U);
  const WindowPiece& p = slice.pieces[0];
  EXPECT_EQ(p.origin.kind, OriginKind::memory);
  EXPECT_EQ(p.origin.place, Place(ByteRange{Address{s.get(Gpr::rdi)}, 8}));
  EXPECT_EQ(p.origin.step, 0U);
  EXPECT_EQ(p.origin.pc, kStart);
  EXPECT_EQ(p.certainty, Certainty::proved);
  EXPECT_EQ(p.value.size(), 8U);
  ASSERT_EQ(p.path.size(), 2U);
  EXPECT_EQ(p.path[0].index, 1U);
  EXPECT_EQ(p.path[0].to, Place(ByteRange{slot, 8}));
  EXPECT_EQ(p.path[0].from, Place(whole(Gpr::rax)));
  EXPECT_EQ(slice.main_line(), std::vector<std::size_t>{0});
  // Memory that was not written is its own origin, at the end of the window.
  const auto untouched = s.slice(ByteRange{Address{0x5000}, 4});
  ASSERT_EQ(untouched.pieces.size(), 1U);
  EXPECT_EQ(untouched.pieces[0].origin.kind, OriginKind::memory);
  EXPECT_EQ(untouched.pieces[0].origin.step, 3U);
  EXPECT_TRUE(untouched.pieces[0].path.empty());
  // A register that was not written was there before the window.
  const auto older = s.slice(whole(Gpr::r12));
  ASSERT_EQ(older.pieces.size(), 1U);
  EXPECT_EQ(older.pieces[0].origin.kind, OriginKind::window_start);
  EXPECT_EQ(older.pieces[0].origin.place, Place(whole(Gpr::r12)));
  EXPECT_EQ(older.pieces[0].origin.pc, kStart);
}

SNIPPET(indexed_from_memory, "mov rsi, [rdx]\n shl rsi, 4\n add rsi, [rdi]\n nop")

TEST(WindowSlice, TheIndexOfABadSumWhoseGoodBaseIsInMemory) {
  Script s(indexed_from_memory());
  const std::uint64_t index = 0xf'7fd9'baa7'508;
  const std::uint64_t base = 0x5648'3775'5000;
  s.ran(0, {{Gpr::rsi, index}}).ran(1, {{Gpr::rsi, index << 4}});
  s.ran(2, {{Gpr::rsi, (index << 4) + base}}).ran(3);
  WindowQuery q = s.query(whole(Gpr::rsi));
  q.mapped = [&](std::uint64_t a) { return a == base; };
  const auto slice = slice_window(q);
  ASSERT_TRUE(slice.ok());
  ASSERT_FALSE(slice->transformations.empty());
  EXPECT_TRUE(slice->transformations[0].index);
  const WindowPiece& end = slice->pieces.at(slice->main_line().back());
  EXPECT_EQ(end.origin.place, Place(ByteRange{Address{s.get(Gpr::rdx)}, 8}));
  q.mapped = [](std::uint64_t) { return false; };
  const auto unknown = slice_window(q);
  ASSERT_TRUE(unknown.ok());
  EXPECT_FALSE(unknown->transformations[0].index);
}

SNIPPET(kernel, "mov [rsi], rbx\n mov eax, 9\n syscall\n mov rdx, [rsi]\n mov [rdi], rax\n nop")

TEST(WindowSlice, SystemCalls) {
  Script s(kernel());
  s.ran(0).ran(1, {{Gpr::rax, 9}});
  s.ran(2, {{Gpr::rax, 0x7fff'1000}, {Gpr::rcx, s.pc(3).value}, {Gpr::r11, 0x246}});
  s.ran(3, {{Gpr::rdx, s.get(Gpr::rbx)}}).ran(4).ran(5);
  auto slice = s.slice(ByteRange{Address{s.get(Gpr::rdi)}, 8});
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].origin.kind, OriginKind::system_call);
  EXPECT_EQ(slice.pieces[0].origin.step, 2U);
  // The store before the call is still the source: same value; but the kernel could have written
  // it.
  slice = s.slice(whole(Gpr::rdx));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].origin.kind, OriginKind::window_start);
  EXPECT_EQ(slice.pieces[0].origin.place, Place(whole(Gpr::rbx)));
  EXPECT_EQ(slice.pieces[0].certainty, Certainty::likely);
  // A register that the kernel changed although the instruction does not (sigreturn).
  Script t(kernel());
  t.ran(1, {{Gpr::rax, 15}});
  t.ran(2, {{Gpr::rax, 1}, {Gpr::rcx, t.pc(3).value}, {Gpr::r11, 0x246}, {Gpr::r12, 0x5555}});
  slice = t.slice(whole(Gpr::r12));
  ASSERT_FALSE(slice.pieces.empty());
  EXPECT_EQ(slice.pieces[0].origin.kind, OriginKind::system_call);
}

TEST(WindowSlice, AnEarlierSystemCallIsNamedForMemory) {
  Script s(kernel());
  s.ran(1, {{Gpr::rax, 9}});
  s.ran(2, {{Gpr::rax, 0}, {Gpr::rcx, s.pc(3).value}, {Gpr::r11, 0x246}});
  s.ran(3, {{Gpr::rdx, 0x77}});
  const auto slice = s.slice(whole(Gpr::rdx));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].origin.kind, OriginKind::memory);
  EXPECT_EQ(slice.pieces[0].origin.earlier_system_call, 1U);
  EXPECT_EQ(slice.pieces[0].certainty, Certainty::likely);
}

TEST(WindowSlice, AnotherWriterInBetweenIsNoticed) {
  // The window stores rbx, and then loads something else from the same place.
  Script s(kernel());
  s.ran(0);
  s.ran(3, {{Gpr::rdx, 0x1111}});
  const auto slice = s.slice(whole(Gpr::rdx));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].origin.kind, OriginKind::inconsistent);
  EXPECT_EQ(slice.pieces[0].origin.place, Place(ByteRange{Address{s.get(Gpr::rsi)}, 8}));
  EXPECT_EQ(slice.pieces[0].origin.step, 1U);  // the load still saw the other value
}

TEST(WindowSlice, TheAskedValueIsCheckedToo) {
  Script s(plain());
  s.ran(0, {{Gpr::rax, 0xabc}}).ran(1).ran(2);
  WindowQuery q = s.query(ByteRange{Address{s.get(Gpr::rsi)}, 8});
  q.value = {std::byte{0xbc}, std::byte{0x0a}};
  q.value.resize(8);
  EXPECT_EQ(slice_window(q)->pieces.at(0).origin.kind, OriginKind::memory);
  q.value[0] = std::byte{0xbd};
  EXPECT_EQ(slice_window(q)->pieces.at(0).origin.kind, OriginKind::inconsistent);
}

SNIPPET(gap, "mov [rsp+8], rbx\n nop\n mov rax, [rsp+8]\n nop")

TEST(WindowSlice, ASignalOrAGapIsADoubt) {
  Script t(gap());
  t.ran(0);
  t.ran(2, {{Gpr::rax, t.get(Gpr::rbx)}});  // from 0 straight to 2
  auto slice = t.slice(whole(Gpr::rax));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].origin.kind, OriginKind::window_start);
  EXPECT_EQ(slice.pieces[0].certainty, Certainty::likely);
  // A register changed in the gap: said so, not guessed.
  Script u(gap());
  u.ran(1);
  u.now()[Gpr::r13] = 0x42;
  u.ran(1);
  slice = u.slice(whole(Gpr::r13));
  ASSERT_FALSE(slice.pieces.empty());
  EXPECT_EQ(slice.pieces[0].origin.kind, OriginKind::inconsistent);
  EXPECT_EQ(slice.pieces[0].origin.step, 0U);
}

TEST(WindowSlice, ASignalFrameIsTheKernels) {
  // The handler starts with rsp on an alternate stack; the bytes there are the kernel's.
  Script s(gap());
  s.ran(0);
  s.now()[Gpr::rsp] = 0x6000'0000;
  s.ran(2, {{Gpr::rax, 0x99}});
  const auto slice = s.slice(whole(Gpr::rax));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].origin.kind, OriginKind::inconsistent);
  EXPECT_EQ(slice.pieces[0].origin.place, Place(ByteRange{Address{0x6000'0008}, 8}));
}

SNIPPET(walking, "mov rdi, [rbx]\n lea rdi, [rdi+0x10]\n add rdi, 8\n .byte 0xeb, 0xfa\n nop")

TEST(WindowSlice, ConstantStepsOfAPointerAreSummedUp) {
  Script s(walking());
  const std::uint64_t base = 0x5555'0000;
  s.ran(0, {{Gpr::rdi, base}}).ran(1, {{Gpr::rdi, base + 0x10}});
  for (unsigned i = 1; i <= 1000; ++i) {
    s.ran(2, {{Gpr::rdi, base + 0x10 + 8 * i}});
    s.ran(3);
    s.now().rip = s.pc(2).value;
  }
  const auto slice = s.slice(whole(Gpr::rdi));
  const auto line = slice.main_line();
  ASSERT_EQ(line.size(), 2U);
  const WindowPiece& p = slice.pieces[line[1]];
  EXPECT_EQ(p.origin.kind, OriginKind::memory);
  EXPECT_EQ(p.origin.step, 0U);
  EXPECT_EQ(p.added, 999 * 8 + 0x10);
  EXPECT_EQ(slice.transformations.size(), 1U);
  EXPECT_EQ(slice.transformations[0].main_input, 0U);
}

SNIPPET(pointer_sum, "mov rax, [rdi]\n imul rcx, rcx, 24\n add rax, rcx\n mov [rsi], rax\n nop")

TEST(WindowSlice, TheMainLineFollowsThePointer) {
  Script s(pointer_sum());
  s.now()[Gpr::rcx] = 3;
  s.ran(0, {{Gpr::rax, 0x7f12'3456'7000}}).ran(1, {{Gpr::rcx, 72}});
  s.ran(2, {{Gpr::rax, 0x7f12'3456'7048}}).ran(3).ran(4);
  const auto slice = s.slice(ByteRange{Address{s.get(Gpr::rsi)}, 8});
  const auto line = slice.main_line();
  ASSERT_EQ(line.size(), 2U);
  EXPECT_EQ(slice.pieces[line[0]].origin.kind, OriginKind::transformation);
  EXPECT_EQ(slice.pieces[line[1]].origin.place, Place(ByteRange{Address{s.get(Gpr::rdi)}, 8}));
  ASSERT_GE(slice.transformations.size(), 2U);
  EXPECT_EQ(slice.transformations[0].inputs.size(), 2U);
  EXPECT_EQ(slice.transformations[0].kind, x86::FlowKind::arithmetic);
  // Not followed on request.
  WindowQuery q = s.query(ByteRange{Address{s.get(Gpr::rsi)}, 8});
  q.follow_inputs = false;
  const auto alone = slice_window(q);
  ASSERT_TRUE(alone.ok());
  EXPECT_EQ(alone->pieces.size(), 1U);
  EXPECT_FALSE(alone->transformations.at(0).followed);
  // Nor beyond the limit.
  q.follow_inputs = true;
  q.max_transformations = 1;
  const auto limited = slice_window(q);
  ASSERT_TRUE(limited.ok());
  for (const auto& t : limited->transformations)
    EXPECT_EQ(t.followed, &t == &limited->transformations[0]);
}

// ------------------------------------------------------------------------- which input goes on

SNIPPET(array_access, "mov rax, [rdi]\n mov rcx, [rdx]\n add rax, rcx\n mov [rsi], rax\n nop")

constexpr std::uint64_t kArray = 0x7f12'3456'7000;

/// The sum of a base, loaded from [rdi], and an index, loaded from [rdx], was stored to [rsi].
Script sum_of(std::uint64_t base, std::uint64_t index) {
  Script s(array_access());
  s.ran(0, {{Gpr::rax, base}}).ran(1, {{Gpr::rcx, index}});
  s.ran(2, {{Gpr::rax, base + index}}).ran(3).ran(4);
  return s;
}

WindowSlice slice_sum(const Script& s, std::function<bool(std::uint64_t)> mapped) {
  WindowQuery q = s.query(ByteRange{Address{s.get(Gpr::rsi)}, 8});
  q.mapped = std::move(mapped);
  auto result = slice_window(q);
  EXPECT_TRUE(result.ok());
  return result.ok() ? *result : WindowSlice{};
}

bool in_array(std::uint64_t address) { return address >= kArray && address < kArray + 0x1000; }

/// Where the main line ends, if that is in memory.
std::optional<Address> end_of(const WindowSlice& slice) {
  const auto line = slice.main_line();
  if (line.empty()) return std::nullopt;
  const Origin& origin = slice.pieces[line.back()].origin;
  if (origin.kind != OriginKind::memory || !origin.place) return std::nullopt;
  return std::get<ByteRange>(*origin.place).start;
}

TEST(WindowSlice, AnIndexThatLeadsOutOfMappedMemoryIsFollowed) {
  const Script bad = sum_of(kArray, 0x5000'0000);
  WindowSlice slice = slice_sum(bad, in_array);
  ASSERT_FALSE(slice.transformations.empty());
  EXPECT_TRUE(slice.transformations[0].index);
  EXPECT_TRUE(slice.transformations[0].carries);
  ASSERT_TRUE(slice.transformations[0].main_input);
  EXPECT_EQ(slice.transformations[0].inputs.at(*slice.transformations[0].main_input),
            Place(whole(Gpr::rcx)));
  EXPECT_EQ(end_of(slice), Address{bad.get(Gpr::rdx)});
  // An index below the array: the sum wraps round.
  const Script below = sum_of(kArray, ~0ULL - 0xffff);
  EXPECT_EQ(end_of(slice_sum(below, in_array)), Address{below.get(Gpr::rdx)});
  // It does not matter which of the two registers holds it.
  const Script swapped = sum_of(0x5000'0000, kArray);
  slice = slice_sum(swapped, in_array);
  EXPECT_TRUE(slice.transformations.at(0).index);
  EXPECT_EQ(end_of(slice), Address{swapped.get(Gpr::rdi)});
}

TEST(WindowSlice, OtherwiseTheBaseIsFollowed) {
  const auto base_followed = [](const Script& s, std::function<bool(std::uint64_t)> mapped) {
    const WindowSlice slice = slice_sum(s, std::move(mapped));
    EXPECT_FALSE(slice.transformations.at(0).index);
    EXPECT_TRUE(slice.transformations.at(0).carries);
    return end_of(slice) == Address{s.get(Gpr::rdi)};
  };
  EXPECT_TRUE(base_followed(sum_of(kArray, 0x5000'0000), {})) << "nobody knows what is mapped";
  EXPECT_TRUE(base_followed(sum_of(kArray, 0x18), in_array)) << "the sum is good";
  EXPECT_TRUE(base_followed(sum_of(kArray, 0x5000'0000), [](std::uint64_t) { return false; }))
      << "the base is bad as well";
  EXPECT_TRUE(base_followed(sum_of(0x10'0000, 0x10'0008), [](std::uint64_t a) {
    return a < 0x11'0000;
  })) << "two bases: no index";
}

TEST(WindowSlice, AScaledIndexIsFollowedThroughItsScale) {
  Script s(pointer_sum());
  s.now()[Gpr::rcx] = 0x300'0000;
  s.ran(0, {{Gpr::rax, kArray}}).ran(1, {{Gpr::rcx, 0x300'0000 * 24ULL}});
  s.ran(2, {{Gpr::rax, kArray + 0x300'0000 * 24ULL}}).ran(3).ran(4);
  WindowSlice slice = slice_sum(s, in_array);
  auto line = slice.main_line();
  ASSERT_EQ(line.size(), 3U) << "the sum, the product, the index";
  EXPECT_EQ(slice.pieces[line[2]].origin.kind, OriginKind::window_start);
  EXPECT_EQ(slice.pieces[line[2]].origin.place, Place(whole(Gpr::rcx)));
  ASSERT_GE(slice.transformations.size(), 2U);
  EXPECT_FALSE(slice.transformations[1].index) << "nothing was chosen there";
  EXPECT_TRUE(slice.transformations[1].carries);
  // A product that is no index is a value of its own.
  Script alone(pointer_sum());
  alone.now()[Gpr::rcx] = 3;
  alone.ran(1, {{Gpr::rcx, 72}});
  slice = alone.slice(whole(Gpr::rcx));
  ASSERT_EQ(slice.transformations.size(), 1U);
  EXPECT_EQ(slice.transformations[0].main_input, 0U);
  EXPECT_FALSE(slice.transformations[0].carries);
  EXPECT_EQ(slice.main_line().size(), 1U);
}

TEST(WindowSlice, ANullAndAnOffsetIsTheNulls) {
  const Script member = sum_of(0, 0x18);
  WindowSlice slice = slice_sum(member, {});
  EXPECT_TRUE(slice.transformations.at(0).carries);
  EXPECT_FALSE(slice.transformations.at(0).index);
  EXPECT_EQ(end_of(slice), Address{member.get(Gpr::rdi)});
  const Script swapped = sum_of(0x18, 0);
  EXPECT_EQ(end_of(slice_sum(swapped, {})), Address{swapped.get(Gpr::rdx)});
  // The first pages are never mapped, so what is mapped does not change that.
  EXPECT_EQ(end_of(slice_sum(member, in_array)), Address{member.get(Gpr::rdi)});
  // Two small numbers are no null.
  slice = slice_sum(sum_of(8, 0x10), {});
  EXPECT_FALSE(slice.transformations.at(0).main_input);
  EXPECT_FALSE(slice.transformations.at(0).carries);
  EXPECT_EQ(slice.main_line().size(), 1U);
}

SNIPPET(choice, "mov rax, [rdi]\n mov rcx, [rdx]\n cmovne rax, rcx\n nop")

TEST(WindowSlice, AConditionalMoveIsFollowedIntoWhatItTook) {
  constexpr std::uint64_t kZeroFlag = 1U << 6;
  const auto chosen = [](std::uint64_t old, std::uint64_t other, bool taken) {
    Script s(choice());
    s.now().rflags = taken ? 0 : kZeroFlag;
    s.ran(0, {{Gpr::rax, old}}).ran(1, {{Gpr::rcx, other}});
    s.ran(2, {{Gpr::rax, taken ? other : old}}).ran(3);
    const WindowSlice slice = s.slice(whole(Gpr::rax));
    EXPECT_TRUE(slice.transformations.empty()) << "the flags are logged: it is a copy or nothing";
    EXPECT_EQ(slice.pieces.size(), 1U);
    const auto end = end_of(slice);
    EXPECT_TRUE(end);
    if (end == Address{s.get(Gpr::rdx)}) return "other";
    return end == Address{s.get(Gpr::rdi)} ? "old" : "neither";
  };
  EXPECT_STREQ(chosen(0x1111, 0x2222, true), "other");
  EXPECT_STREQ(chosen(0x1111, 0x2222, false), "old");
  EXPECT_STREQ(chosen(kArray, 0, true), "other") << "a null that was taken";
  // Where both held the same value, the flags still tell.
  EXPECT_STREQ(chosen(0x1111, 0x1111, true), "other");
  EXPECT_STREQ(chosen(0x1111, 0x1111, false), "old");
}

SNIPPET(dressed, "mov rax, [rdi]\n add rax, 1\n shr rax, 3\n nop")

TEST(WindowSlice, AnOffsetCarriesAPointerAndAShiftOfANumberDoesNot) {
  Script moved(dressed());
  moved.ran(0, {{Gpr::rax, kArray}}).ran(1, {{Gpr::rax, kArray + 1}});
  WindowSlice slice = moved.slice(whole(Gpr::rax));
  ASSERT_EQ(slice.transformations.size(), 1U);
  EXPECT_TRUE(slice.transformations[0].carries);
  EXPECT_EQ(end_of(slice), Address{moved.get(Gpr::rdi)});
  // A shift makes another value, but a pointer that is cut out of it was in it.
  const auto shifted = [](std::uint64_t value) {
    Script s(dressed());
    s.now()[Gpr::rax] = value;
    s.ran(2, {{Gpr::rax, value >> 3}});
    return s.slice(whole(Gpr::rax));
  };
  slice = shifted(0x800);
  ASSERT_EQ(slice.transformations.size(), 1U);
  EXPECT_EQ(slice.transformations[0].main_input, 0U);
  EXPECT_FALSE(slice.transformations[0].carries);
  EXPECT_EQ(slice.main_line().size(), 1U);
  slice = shifted(kArray << 3);
  ASSERT_EQ(slice.transformations.size(), 1U);
  EXPECT_TRUE(slice.transformations[0].carries);
  EXPECT_EQ(slice.main_line().size(), 2U);
}

SNIPPET(long_loop,
        "1: mov rax, [rsi]\n mov [rdi], rax\n add rsi, 8\n add rdi, 8\n dec rcx\n jne 1b\n nop")

TEST(WindowSlice, ALongWindowTakesLinearTime) {
  const auto run = [](unsigned iterations) {
    Script s(long_loop());
    s.now()[Gpr::rcx] = iterations;
    const Address destination{s.get(Gpr::rdi)};
    for (unsigned i = 0; i < iterations; ++i) {
      s.ran(0, {{Gpr::rax, 0x1234'5678'0000 + i}}).ran(1);
      s.ran(2, {{Gpr::rsi, s.get(Gpr::rsi) + 8}}).ran(3, {{Gpr::rdi, s.get(Gpr::rdi) + 8}});
      s.ran(4, {{Gpr::rcx, s.get(Gpr::rcx) - 1}}).ran(5);
      s.now().rip = s.pc(0).value;
    }
    s.now().rip = s.pc(6).value;
    const std::clock_t start = std::clock();
    const auto slice = s.slice(ByteRange{destination, 4096});
    const std::clock_t end = std::clock();
    EXPECT_EQ(slice.pieces.size(), 1U);
    EXPECT_EQ(slice.pieces[0].size, 4096U);
    EXPECT_EQ(slice.pieces[0].origin.kind, OriginKind::memory);
    return static_cast<double>(end - start);
  };
  // Processor time, the better of two: six times the steps, not thirty-six times the work.
  const double small = std::min(run(20'000), run(20'000));
  const double large = std::min(run(120'000), run(120'000));
  EXPECT_LT(large, 18 * small);
}

TEST(WindowSlice, UnreadableCodeEndsTheSlice) {
  Script s(plain());
  s.ran(0, {{Gpr::rax, 0xabc}}).ran(1).ran(2);
  s.steps()[1].rip = 0x9999'0000;
  const auto slice = s.slice(ByteRange{Address{s.get(Gpr::rsi)}, 8});
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].origin.kind, OriginKind::unreadable_code);
  EXPECT_EQ(slice.pieces[0].origin.step, 1U);
}

SNIPPET(fill, "rep stosq\n rep movsb\n nop")

TEST(WindowSlice, ABrokenCountIsNotBelieved) {
  Script s(fill());
  s.now()[Gpr::rcx] = 5;
  s.ran(0, {{Gpr::rcx, 6}});  // counts up: 2^64 - 1 iterations
  const auto slice = s.slice(ByteRange{Address{s.get(Gpr::rdi)}, 8});
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].certainty, Certainty::likely);
}

TEST(WindowSlice, AHugeRunIsOneStep) {
  Script s(fill());
  const Address start{s.get(Gpr::rdi)};
  const std::uint64_t count = std::uint64_t{1} << 40;
  s.now()[Gpr::rcx] = count;
  s.ran(0, {{Gpr::rcx, 0}, {Gpr::rdi, start.value + 8 * count}});
  const auto slice = s.slice(ByteRange{start + 0x123, 16});
  for (const auto& p : slice.pieces) {
    EXPECT_EQ(p.origin.kind, OriginKind::window_start);
    EXPECT_TRUE(std::get<RegisterBytes>(*p.origin.place).same_register(whole(Gpr::rax)));
  }
}

TEST(WindowSlice, RefusesWhatItCannotAnswer) {
  Script s(plain());
  EXPECT_EQ(slice_window(s.query(whole(Gpr::rax))).error().code, ErrorCode::bad_input);
  s.ran(0);
  EXPECT_TRUE(slice_window(s.query(whole(Gpr::rax))).ok());
  EXPECT_FALSE(slice_window(s.query(ByteRange{kStart, 0})).ok());
  EXPECT_FALSE(slice_window(s.query(ByteRange{kStart, 4097})).ok());
  EXPECT_FALSE(slice_window(s.query(RegisterBytes{x86::RegisterClass::gpr, 16, 0, 8})).ok());
  EXPECT_FALSE(slice_window(s.query(RegisterBytes{x86::RegisterClass::gpr, 0, 4, 8})).ok());
  WindowQuery q = s.query(whole(Gpr::rax));
  q.code = nullptr;
  EXPECT_FALSE(slice_window(q).ok());
  EXPECT_TRUE(WindowSlice{}.main_line().empty());
  // The top of the address space.
  const auto top = s.slice(ByteRange{Address{~std::uint64_t{0} - 3}, 4});
  ASSERT_EQ(top.pieces.size(), 1U);
  EXPECT_EQ(top.pieces[0].size, 4U);
}

}  // namespace
}  // namespace culprit::provenance
