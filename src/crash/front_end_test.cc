#include "crash/front_end.h"

#include <gtest/gtest.h>

#include <ctime>
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

// Processor time of this process, so that a busy machine changes nothing.
double milliseconds(const std::string& text) {
  const std::clock_t start = std::clock();
  const auto reports = parse(text);
  const std::clock_t end = std::clock();
  EXPECT_LE(reports.size(), 16 * front_ends().size());
  return 1000.0 * static_cast<double>(end - start) / CLOCKS_PER_SEC;
}

std::string repeated(std::string_view piece, std::size_t size) {
  std::string text;
  text.reserve(size + piece.size());
  while (text.size() < size) text += piece;
  return text;
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

TEST(Parse, APanicThatWasCaughtIsNotTheCrash) {
  constexpr std::string_view kPanic =
      "thread 'worker' panicked at x.rs:1:1:\nindex out of bounds: the len is 3 but the index is "
      "9\n";
  ExitInfo exit;
  exit.signal = 11;
  ASSERT_EQ(parse(kPanic, exit).size(), 1U);
  EXPECT_EQ(parse(kPanic, exit)[0].kind, Kind::signal);
  exit.signal = 6;
  ASSERT_EQ(parse(kPanic, exit).size(), 2U);
  EXPECT_EQ(parse(kPanic, exit)[0].kind, Kind::rust_panic);
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

// Time must grow with the size, not with its square, whatever the shape: four times the text may
// take eight times as long (sixteen would be quadratic).
TEST(Parse, IsLinear) {
  for (const std::string_view piece :
       {std::string_view("x"), std::string_view("("), std::string_view("\n"),
        std::string_view("\0", 1), std::string_view("\r"), std::string_view("m.f(0x1, \n"),
        std::string_view("m.f(0x1, "), std::string_view("runtime: pointer 0x1 to un\n"),
        std::string_view("runtime: pointer 0x1 to un"), std::string_view("fatal error: (\n"),
        std::string_view("[signal \n"), std::string_view("SIGSEGV: x\nPC=0x1\n"),
        std::string_view("goroutine 1 [running]:\nm.f(0x1)\n\t/x.go:1 +0x1\n"),
        std::string_view("goroutine 1 [running]:\nm.f(0x1)\n\t/x.go:1 +0x1\nfp=0x1\n"),
        // Of the other front ends: what begins a report, or could be the beginning of a longer
        // line.
        std::string_view("==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x1\n"),
        std::string_view("==1==ERROR: AddressSanitizer: x"), std::string_view("Sanitizer: "),
        std::string_view("ERROR: AddressSanitizer: SEGV on unknown address (pc (\n"),
        std::string_view(
            "==1==WARNING: MemorySanitizer: use-of-uninitialized-value\n    #0 0x1 in f\n"),
        std::string_view("    #0 0x1 in f\n"), std::string_view("#0 0x1 in f("),
        std::string_view("Uninitialized bytes in f\n"),
        std::string_view("==1== Invalid read of size 4\n"),
        std::string_view("==1==    at 0x1: f\n"), std::string_view("== "), std::string_view("=="),
        std::string_view("x.c:1:1: runtime error: load of\n"),
        std::string_view("x: runtime error: "), std::string_view("thread 'm' panicked at 'x\n"),
        std::string_view("thread 'm' panicked at x.rs:1:1:\n"), std::string_view("thread '"),
        std::string_view("stack backtrace:\n   0: f\n      at x.rs:1:1\n"),
        std::string_view("p: x.c:1: f: Assertion `a\n"), std::string_view("x' failed.\n"),
        std::string_view("x.h:1: f: Assertion 'a\n"), std::string_view(": Assertion '"),
        std::string_view(": "), std::string_view("x.h:1:\nIn function:\n"),
        std::string_view("terminate called\n"), std::string_view("*** "),
        std::string_view("======= Backtrace: =\n"), std::string_view("0x1 is located 0 bytes\n"),
        std::string_view("\x1b[1m"), std::string_view("\x1b]"),
        std::string_view("x[1]: segfault at 1 ip 1\n"),
        std::string_view("<jemalloc>: Failed assertion: \n")}) {
    const std::string open_reports =
        std::string(kBadPointer) +
        "==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x1 at pc 0x1 bp 0x1 sp 0x1\n"
        "==2==ERROR: AddressSanitizer: heap-use-after-free on address 0x2 at pc 0x2 bp 0x2 sp 0x2\n"
        "x.c:1:1: runtime error: division by zero\nthread 'm' panicked at x.rs:1:1:\nwords\n"
        "==3== Invalid read of size 4\n";
    for (const std::string& head : {std::string(), open_reports}) {
      const std::string small = head + repeated(piece, 128 << 10);
      const std::string large = head + repeated(piece, 512 << 10);
      EXPECT_LT(milliseconds(large), 8 * milliseconds(small) + 100) << piece;
    }
  }
  // And it is fast enough: ten megabytes without a line end, as a program under test may print
  // them.
  EXPECT_LT(milliseconds(std::string(kBadPointer) + std::string(10 << 20, 'x')), 10000);
}

TEST(Parse, SanitizerReportsAreBounded) {
  std::string text =
      "==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x1 at pc 0x1 bp 0x1 sp 0x1\n";
  for (int i = 0; i < 100; ++i) {
    text += "freed by thread T0 here:\n";
    for (int n = 0; n < 300; ++n) text += "    #" + std::to_string(n) + " 0x1 in f /x.c:1\n";
    text += "0x1 is located 0 bytes inside of 16-byte region [0x1,0x11)\n";
  }
  const auto reports = parse(text);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].stacks.size(), 64U);
  EXPECT_EQ(reports[0].stacks[0].frames.size(), 256U);
  EXPECT_LE(reports[0].suspects.size(), 16U);
  EXPECT_LE(reports[0].message.size(), 64U);
  EXPECT_TRUE(reports[0].truncated);
}

TEST(Parse, ManyReportsAreBounded) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text +=
        "x.c:1:1: runtime error: division by zero\n"
        "thread 'main' panicked at x.rs:1:1:\nexplicit\n\n"
        "==" +
        std::to_string(i) +
        "== Invalid read of size 4\n"
        "==" +
        std::to_string(i) +
        "==ERROR: AddressSanitizer: SEGV on unknown address 0x1 (pc 0x1 T0)\n"
        "free(): invalid pointer\nterminate called without an active exception\n"
        "Segmentation fault (core dumped)\n";
  }
  EXPECT_LE(parse(text).size(), 16U * front_ends().size());
}

TEST(Parse, TheBugComesBeforeItsSymptom) {
  const auto reports = parse(
      "a.cc:1:1: runtime error: member call on address 0x559602fe9fb0 which does not point to an "
      "object of type 'A'\n"
      "==1==ERROR: UndefinedBehaviorSanitizer: SEGV on unknown address 0x10 (pc 0x5 bp 0x1 sp 0x1 "
      "T1)\n"
      "    #0 0x5 in f /a.cc:1:1\n"
      "SUMMARY: UndefinedBehaviorSanitizer: SEGV /a.cc:1:1 in f\n");
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[0].hint, CrashHint::type_confusion);
  EXPECT_EQ(reports[1].hint, CrashHint::null_access);
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
