#include "replay/rr_process.h"

#include <gtest/gtest.h>

namespace culprit::replay {
namespace {

TEST(RrComplaint, TakesTheAssertionOutOfTheNoise) {
  // rr 5.6.0, a replay whose registers went wrong.
  constexpr char text[] =
      "[FATAL ./src/Task.cc:3119:ptrace_if_alive() errno: EIO] \n"
      " (task 29001 (rec:28528) at time 1)\n"
      " -> Assertion `!errno' failed to hold. ptrace(PTRACE_SYSEMU, 29001, addr=0, data=0) failed\n"
      "Tail of trace dump:\n"
      "[FATAL ./src/log.cc:444:emergency_debug()] (session doesn't look interactive, aborting)\n"
      "=== Start rr backtrace:\n"
      "/usr/bin/rr(_ZN2rr13dump_rr_stackEv+0x41)[0x55849b633511]\n"
      "=== End rr backtrace\n";
  EXPECT_EQ(rr_complaint(text, "x"),
            "-> Assertion `!errno' failed to hold. ptrace(PTRACE_SYSEMU, 29001, addr=0, data=0) "
            "failed");
}

TEST(RrComplaint, TakesTheFirstFatalLineOrTheLastOfOthers) {
  EXPECT_EQ(
      rr_complaint("[FATAL ./src/A.cc:1:f()] first\n[FATAL ./src/B.cc:2:g()] then\nmore\n", "x"),
      "[FATAL ./src/A.cc:1:f()] first");
  EXPECT_EQ(rr_complaint("rr: one\n\nrr: two\n\n", "x"), "rr: two");
  EXPECT_EQ(rr_complaint("", "exit code 1"), "exit code 1");
  EXPECT_EQ(rr_complaint(std::string(10'000, 'y'), "x").size(), 500U);
}

}  // namespace
}  // namespace culprit::replay
