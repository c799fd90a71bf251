#include "crash/front_end.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace culprit::crash {
namespace {

constexpr std::string_view kBadPointer =
    "runtime: pointer 0xc000100000 to unallocated span span.base()=0xc000100000 "
    "span.limit=0xc000120000 span.state=0\n"
    "fatal error: found bad pointer in Go heap (incorrect use of unsafe or cgo?)\n\n"
    "runtime stack:\n"
    "runtime.wbBufFlush1(0xc000026000)\n"
    "\t/go/src/runtime/mwbbuf.go:260 +0xe5 fp=0x7ffd0b5ec570 sp=0x7ffd0b5ec528 pc=0x42be65\n";

double milliseconds(std::string_view text) {
  const auto start = std::chrono::steady_clock::now();
  const auto reports = parse(text);
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
  EXPECT_LE(reports.size(), 64U);
  return taken.count();
}

TEST(Parse, NothingFailed) {
  EXPECT_TRUE(parse("").empty());
  ExitInfo fine;
  fine.exit_status = 0;
  EXPECT_TRUE(parse("hello\n", fine).empty());
}

TEST(Parse, AFailureAlwaysGivesAReport) {
  ExitInfo exit;
  exit.exit_status = 3;
  ASSERT_EQ(parse("hello\n", exit).size(), 1U);
  EXPECT_EQ(parse("hello\n", exit)[0].kind, Kind::exit_status);
  ExitInfo killed;
  killed.signal = 9;
  EXPECT_EQ(parse("", killed)[0].kind, Kind::signal);
}

TEST(Parse, TextWithASuspectBeatsTheSignal) {
  ExitInfo exit;
  exit.signal = 6;
  exit.signal_code = -6;
  const auto reports = parse(kBadPointer, exit);
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[0].kind, Kind::go_bad_pointer);
  EXPECT_EQ(reports[1].kind, Kind::signal);
  ASSERT_NE(reports[0].reporting_frame(), nullptr);
  EXPECT_EQ(reports[0].reporting_frame()->arguments.at(0).value, 0xc000026000U);
}

TEST(Parse, AFaultAddressBeatsTextWithoutASuspect) {
  ExitInfo exit;
  exit.signal = 11;
  exit.signal_code = 1;
  exit.fault_address = Address{0x7f0000dead00};
  const auto reports = parse("terminate called without an active exception\n", exit);
  ASSERT_EQ(reports.size(), 1U);  // those words end in SIGABRT
  EXPECT_EQ(reports[0].suspects.at(0).role, Role::fault_address);
}

TEST(Parse, ProtectionFaultsHaveNoAddress) {
  ExitInfo exit;
  exit.signal = 11;
  exit.signal_code = 0x80;
  exit.fault_address = Address{0};
  const auto reports = parse("", exit);
  EXPECT_TRUE(reports[0].suspects.empty());
  EXPECT_FALSE(reports[0].fault_address);
}

// Time must grow with the size, not with its square: hostile shapes of 10 MB each.
TEST(Parse, IsLinear) {
  std::string one_line(10 << 20, 'x');
  EXPECT_LT(milliseconds(one_line), 2000);
  EXPECT_LT(milliseconds(std::string(kBadPointer) + one_line), 2000);
  std::string pieces;
  while (pieces.size() < (10U << 20)) pieces += "m.f(0x1, \n";
  EXPECT_LT(milliseconds(std::string(kBadPointer) + pieces), 4000);
  std::string anchors;
  while (anchors.size() < (10U << 20)) anchors += "runtime: pointer 0x1 to un\n";
  EXPECT_LT(milliseconds(anchors), 4000);
  std::string nested;
  while (nested.size() < (10U << 20))
    nested += "goroutine 1 [running]:\nm.f(0x1)\n\t/x.go:1 +0x1\n";
  EXPECT_LT(milliseconds(std::string(kBadPointer) + nested), 4000);
  EXPECT_LT(milliseconds(std::string(10 << 20, '\n')), 4000);
  EXPECT_LT(milliseconds(std::string(10 << 20, '\0')), 2000);
  EXPECT_LT(milliseconds(std::string(kBadPointer) + std::string(10 << 20, '(')), 2000);
}

TEST(Parse, IsBounded) {
  std::string text(kBadPointer);
  for (int i = 0; i < 3000; ++i) text += "m.f(0x1)\n\t/x.go:1 +0x1\n";
  for (int i = 0; i < 300; ++i) text += "\ngoroutine 5 [running]:\nm.f(0x1)\n\t/x.go:1 +0x1\n";
  const auto reports = parse(text);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].stacks.size(), 64U);
  EXPECT_EQ(reports[0].stacks[0].frames.size(), 256U);
  EXPECT_TRUE(reports[0].truncated);
}

TEST(SignalNames, GoBothWays) {
  EXPECT_EQ(signal_name(11), "SIGSEGV");
  EXPECT_EQ(signal_name(77), "signal 77");
  EXPECT_EQ(signal_number("SIGBUS"), 7);
  EXPECT_FALSE(signal_number("SIGNOPE"));
  EXPECT_FALSE(signal_number(""));
}

}  // namespace
}  // namespace culprit::crash
