// Windows that are hard to get from a real run: system calls, signals, other threads, gaps, limits.
// Windows of real runs are in window_slice_hardware_test.cc.
#include "provenance/slice/window_slice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

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
