#include "provenance/window_moment.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <vector>

#include "provenance/testing/scripted_replay.h"
#include "x86/instruction.h"
#include "x86/testing/snippet.h"
#include "x86/testing/stepped_program.h"

namespace culprit::provenance {
namespace {

constexpr Address kStart{0x40'1000};
constexpr std::uint64_t kTop = 0x7fff'0000'1000;

// The window's function calls f, f calls g, g ends in a jump to h.
SNIPPET(nest,
        "call 1f\n nop\n ret\n"    // 0, 1, 2
        "1: push rbx\n call 2f\n"  // 3, 4
        "pop rbx\n ret\n"          // 5, 6
        "2: nop\n jmp 3f\n"        // 7, 8
        "3: nop\n ret")            // 9, 10
SNIPPET(recursion, "1: call 1b")
SNIPPET(by_register, "call rax\n nop\n ret")

/// A window written by hand: which instruction ran, and where the stack pointer was after it.
struct Window {
  explicit Window(std::span<const std::byte> code) : reader(kStart, code) {
    for (std::size_t at = 0; at < code.size();) {
      starts.push_back(kStart + static_cast<std::int64_t>(at));
      at += x86::outline(code.subspan(at), kStart)->length;
    }
    window.final_registers[Gpr::rsp] = kTop;
    // The window's function is the second frame; one that it called stands at the end.
    for (const std::uint64_t pc : {0x9001U, 0x9002U, 0x9003U, 0x9004U}) {
      WalkFrame frame;
      frame.frame.pc = Address{pc};
      end.frames.push_back(frame);
    }
    end.position.sequence = 33;
    end.mark.ordinal = 44;
  }
  Window& ran(std::size_t instruction, std::int64_t stack = 0) {
    Registers& now = window.final_registers;
    now.rip = starts.at(instruction).value;
    now[Gpr::rbx] = window.steps.size();
    window.steps.push_back(now);
    now[Gpr::rsp] += static_cast<std::uint64_t>(stack);
    return *this;
  }
  /// The program counters of the moment before a step, innermost first.
  std::vector<Address> frames(std::size_t step, std::size_t window_frame = 1) const {
    std::vector<Address> pcs;
    for (const WalkFrame& frame :
         moment_at_step(testing::bare_image(), end, window, step, window_frame, reader).frames) {
      pcs.push_back(frame.frame.pc);
    }
    return pcs;
  }

  x86::testing::CodeReader reader;
  std::vector<Address> starts;
  replay::StepWindow window;
  Moment end;
};

/// The whole of `nest`, to its last return.
Window nested() {
  Window w(nest());
  w.ran(0, -8).ran(3, -8).ran(4, -8).ran(7).ran(8).ran(9).ran(10, 8).ran(5, 8).ran(6, 8).ran(1);
  w.window.final_registers.rip = w.starts[2].value;
  return w;
}

TEST(WindowMoment, CallsThatHaveNotReturnedAreFrames) {
  const Window w = nested();
  const auto& at = w.starts;
  const Address caller{0x9003}, outermost{0x9004};
  using Frames = std::vector<Address>;
  EXPECT_EQ(w.frames(0), (Frames{at[0], caller, outermost})) << "the entry";
  EXPECT_EQ(w.frames(1), (Frames{at[3], at[0], caller, outermost}));
  EXPECT_EQ(w.frames(2), (Frames{at[4], at[0], caller, outermost})) << "a push is no call";
  EXPECT_EQ(w.frames(3), (Frames{at[7], at[4], at[0], caller, outermost})) << "one in the other";
}

TEST(WindowMoment, AJumpToAFunctionLeavesNoFrame) {
  const Window w = nested();
  const auto& at = w.starts;
  const std::vector<Address> in_tail = {at[9], at[4], at[0], Address{0x9003}, Address{0x9004}};
  EXPECT_EQ(w.frames(5), in_tail);
}

TEST(WindowMoment, CallsThatHaveReturnedAreNone) {
  const Window w = nested();
  const auto& at = w.starts;
  const Address caller{0x9003}, outermost{0x9004};
  using Frames = std::vector<Address>;
  EXPECT_EQ(w.frames(7), (Frames{at[5], at[0], caller, outermost})) << "g has, f has not";
  EXPECT_EQ(w.frames(8), (Frames{at[6], at[0], caller, outermost}));
  EXPECT_EQ(w.frames(9), (Frames{at[1], caller, outermost})) << "both have";
  EXPECT_EQ(w.frames(10), (Frames{at[2], caller, outermost})) << "after the last step";
  EXPECT_EQ(w.frames(1000), w.frames(10)) << "there is nothing behind that";
}

TEST(WindowMoment, ACallAtTheSamePlaceTwiceIsOneFrame) {
  Window w(nest());
  w.ran(0, -8).ran(3, -8).ran(4, -8).ran(7).ran(8).ran(9).ran(10, 8);  // g has returned
  w.ran(4, -8).ran(7);                                                 // and is called again
  const auto& at = w.starts;
  const std::vector<Address> expected = {at[7], at[4], at[0], Address{0x9003}, Address{0x9004}};
  EXPECT_EQ(w.frames(8), expected);
}

TEST(WindowMoment, FramesThatWereLeftWithoutAReturnAreGone) {
  // longjmp from g to the window's function.
  Window w(nest());
  w.ran(0, -8).ran(3, -8).ran(4, -8).ran(7, 24).ran(1);
  const std::vector<Address> expected = {w.starts[1], Address{0x9003}, Address{0x9004}};
  EXPECT_EQ(w.frames(4), expected);
}

TEST(WindowMoment, ACallThroughARegisterIsACall) {
  Window w(by_register());
  w.ran(0, -8).ran(2, 8).ran(1);
  EXPECT_EQ(w.frames(1),
            (std::vector<Address>{w.starts[2], w.starts[0], Address{0x9003}, Address{0x9004}}));
  EXPECT_EQ(w.frames(2), (std::vector<Address>{w.starts[1], Address{0x9003}, Address{0x9004}}));
}

TEST(WindowMoment, EachFrameHasTheRegistersOfItsCall) {
  const Window w = nested();
  const Moment moment = moment_at_step(testing::bare_image(), w.end, w.window, 5, 1, w.reader);
  ASSERT_EQ(moment.frames.size(), 5U);
  EXPECT_EQ(moment.registers, w.window.steps[5]);
  EXPECT_EQ(moment.frames[0].frame.registers.values, w.window.steps[5]);
  EXPECT_EQ(moment.frames[1].frame.registers.values, w.window.steps[2]) << "f, at its call of g";
  EXPECT_EQ(moment.frames[2].frame.registers.values, w.window.steps[0]);
  EXPECT_EQ(moment.frames[1].frame.pc_kind, binary::PcKind::exact) << "at the call, not behind it";
  // It is found again as the window's end is.
  EXPECT_EQ(moment.position.sequence, 33U);
  EXPECT_EQ(moment.mark.ordinal, 44U);
  const Moment last = moment_at_step(testing::bare_image(), w.end, w.window, 10, 1, w.reader);
  EXPECT_EQ(last.registers, w.window.final_registers);
}

TEST(WindowMoment, TheCallersOfTheWindowsFunctionStay) {
  const Window w = nested();
  EXPECT_EQ(w.frames(0, 0),
            (std::vector<Address>{w.starts[0], Address{0x9002}, Address{0x9003}, Address{0x9004}}));
  EXPECT_EQ(w.frames(0, 3), (std::vector<Address>{w.starts[0]})) << "it was the outermost";
  EXPECT_EQ(w.frames(0, 99), (std::vector<Address>{w.starts[0]}));
}

TEST(WindowMoment, DeepRecursionIsBounded) {
  Window w(recursion());
  for (int i = 0; i < 1000; ++i) w.ran(0, -8);
  EXPECT_EQ(w.frames(1000).size(), 256U);
  EXPECT_EQ(w.frames(100).size(), 1 + 100 + 2U);
  EXPECT_EQ(w.frames(254).size(), 256U) << "the callers have no room any more";
}

TEST(WindowMoment, CodeThatCannotBeReadHasNoCalls) {
  const Window w = nested();
  const Moment moment = moment_at_step(testing::bare_image(), w.end, w.window, 5, 1, NoMemory{});
  ASSERT_EQ(moment.frames.size(), 3U);
  EXPECT_EQ(moment.frames[1].frame.pc, Address{0x9003});
}

TEST(WindowMoment, AnEmptyWindowIsItsEnd) {
  Window w(nest());
  w.window.final_registers.rip = 0x1234;
  EXPECT_EQ(w.frames(0), (std::vector<Address>{Address{0x1234}, Address{0x9003}, Address{0x9004}}));
}

}  // namespace
}  // namespace culprit::provenance
