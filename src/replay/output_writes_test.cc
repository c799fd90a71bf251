#include "replay/output_writes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <random>
#include <string>
#include <utility>

namespace culprit::replay {
namespace {

/// One frame of `rr dump -m` of rr 5.6.0.
std::string frame(int event, int thread, std::string_view name, std::uint64_t number, bool entry,
                  std::int64_t result) {
  return fmt::format(
      "{{\n  real_time:1.5 global_time:{}, event:`SYSCALL: {}' (state:{}) tid:{}, ticks:0\n"
      "rax:{:#x} rbx:0x0 rcx:0x0 rdx:0x4 rsi:0x1000 rdi:0x1 rbp:0x0 rsp:0x2000 r8:0x0 r9:0x0 "
      "r10:0x0 r11:0x246 r12:0x0 r13:0x0 r14:0x0 r15:0x0 rip:0x401000 eflags:0x246 cs:0x33 "
      "ss:0x2b ds:0x0 es:0x0 fs:0x0 gs:0x0 orig_rax:{:#x} fs_base:0x0 gs_base:0x0\n}}\n",
      event, name, entry ? "ENTERING_SYSCALL" : "EXITING_SYSCALL", thread,
      static_cast<std::uint64_t>(entry ? -38 : result), number);
}

std::string write_call(int event, int thread, std::int64_t result) {
  return frame(event, thread, "write", SYS_write, true, 0) +
         frame(event + 1, thread, "write", SYS_write, false, result);
}

TraceIndex index_of(const std::string& text) {
  TraceIndexParser parser;
  EXPECT_TRUE(parser.feed(text).ok());
  auto out = parser.finish();
  EXPECT_TRUE(out.ok());
  return std::move(*out);
}

/// Calls 1 (4 bytes), 3 (6 bytes), 5 (failed), 7 (2 bytes, never finished), of two threads.
TraceIndex sample() {
  return index_of(write_call(1, 70, 4) + write_call(3, 71, 6) + write_call(5, 70, -9) +
                  frame(7, 71, "write", SYS_write, true, 0));
}

TEST(MarkedOutput, BytesBelongToTheCallOfTheirMark) {
  const TraceIndex index = sample();
  const auto writes = parse_marked_output("[rr 70 1]ab\nc[rr 71 3]d[rr 7", 2, index);
  ASSERT_EQ(writes.size(), 2U);
  EXPECT_EQ(writes[0].bytes, "ab\nc");
  EXPECT_EQ(writes[0].event, EventNumber{1});
  EXPECT_EQ(writes[0].thread, ThreadId{70});
  EXPECT_EQ(writes[0].ordinal, 1U);
  EXPECT_EQ(writes[0].stream, 2);
  EXPECT_EQ(writes[1].bytes, "d[rr 7") << "what looks like a mark is the program's";
  EXPECT_EQ(writes[1].thread, ThreadId{71});
}

TEST(MarkedOutput, WhatTheProgramPrintsIsNoMark) {
  const TraceIndex index = index_of(write_call(1, 70, 9) + write_call(3, 70, 2));
  const auto writes = parse_marked_output("[rr 70 1][rr 70 3][rr 70 3]ok", 1, index);
  ASSERT_EQ(writes.size(), 2U);
  EXPECT_EQ(writes[0].bytes, "[rr 70 3]");
  EXPECT_EQ(writes[1].bytes, "ok");
}

TEST(MarkedOutput, LinesOfRrItselfArePassedOver) {
  const TraceIndex index = sample();
  const auto writes =
      parse_marked_output("rr: a warning\n[rr 70 1]abcd[FATAL x]\n[rr 71 3]efghij", 1, index);
  ASSERT_EQ(writes.size(), 2U);
  EXPECT_EQ(writes[0].bytes, "abcd");
  EXPECT_EQ(writes[1].bytes, "efghij");
}

TEST(MarkedOutput, ItEndsWhereTheSizeIsNotKnown) {
  const TraceIndex index = sample();
  EXPECT_TRUE(parse_marked_output("[rr 70 5]ab[rr 71 3]efghij", 1, index).empty())
      << "the call failed: what follows is not its output";
  EXPECT_TRUE(parse_marked_output("[rr 71 7]ab", 1, index).empty()) << "it did not return";
  EXPECT_TRUE(parse_marked_output("[rr 70 1]abc", 1, index).empty()) << "cut off";
}

TEST(MarkedOutput, MarksThatCannotBe) {
  const TraceIndex index = sample();
  for (const char* text :
       {"[rr 70 2]abcd", "[rr 70 99]abcd", "[rr 70 -1]abcd", "[rr 70 1x]abcd", "[rr 70]abcd",
        "[rr 70 1abcd", "[rr ]", "[rr 70 99999999999999999999]a", "", "[", "[rr 1"}) {
    EXPECT_TRUE(parse_marked_output(text, 1, index).empty()) << text;
  }
  const auto writes = parse_marked_output("[rr 71 3]efghij[rr 70 1]abcd", 1, index);
  ASSERT_EQ(writes.size(), 1U) << "events do not go back";
  EXPECT_EQ(writes[0].event, EventNumber{3});
}

TEST(MarkedOutput, AnyTextIsRead) {
  const TraceIndex index = sample();
  constexpr std::string_view kPieces[] = {"[rr ", "70 ",  "71 ", "1", "3",
                                          "]",    "abcd", "\n",  "[", "5"};
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 40; ++i) text += kPieces[random() % std::size(kPieces)];
    EventNumber last;
    for (const OutputWrite& write : parse_marked_output(text, 1, index)) {
      ASSERT_GT(write.event, last);
      ASSERT_NE(text.find(write.bytes), std::string::npos);
      last = write.event;
    }
  }
}

}  // namespace
}  // namespace culprit::replay
