#include "agent/held_signals.h"

#include <gtest/gtest.h>

namespace culprit::agent {
namespace {

siginfo_t info(int signal, int code) {
  siginfo_t out{};
  out.si_signo = signal;
  out.si_code = code;
  return out;
}

TEST(IsSynchronous, FaultsOfTheInstruction) {
  EXPECT_TRUE(is_synchronous(info(SIGSEGV, SEGV_MAPERR)));
  EXPECT_TRUE(is_synchronous(info(SIGSEGV, SI_KERNEL)));  // general protection, as by a trapped rdtsc
  EXPECT_TRUE(is_synchronous(info(SIGFPE, FPE_INTDIV)));
  EXPECT_TRUE(is_synchronous(info(SIGTRAP, TRAP_TRACE)));
  EXPECT_TRUE(is_synchronous(info(SIGTRAP, SI_KERNEL)));  // int3
  EXPECT_TRUE(is_synchronous(info(SIGBUS, BUS_ADRERR)));
}

TEST(IsSynchronous, TheSameNumbersFromOutsideAreNot) {
  EXPECT_FALSE(is_synchronous(info(SIGSEGV, SI_USER)));
  EXPECT_FALSE(is_synchronous(info(SIGSEGV, SI_TKILL)));
  EXPECT_FALSE(is_synchronous(info(SIGFPE, SI_QUEUE)));
  EXPECT_FALSE(is_synchronous(info(SIGILL, SI_TIMER)));
  EXPECT_FALSE(is_synchronous(info(SIGBUS, BUS_MCEERR_AO)));
}

TEST(IsSynchronous, OtherSignalsNever) {
  EXPECT_FALSE(is_synchronous(info(SIGALRM, SI_KERNEL)));
  EXPECT_FALSE(is_synchronous(info(SIGCHLD, CLD_EXITED)));
  EXPECT_FALSE(is_synchronous(info(SIGABRT, SI_TKILL)));
}

TEST(HeldSignals, StandardSignalsCoalesceAndRealTimeSignalsQueue) {
  HeldSignals held;
  EXPECT_EQ(held.add(info(SIGALRM, SI_KERNEL)), HeldSignals::Added::queued);
  EXPECT_EQ(held.add(info(SIGUSR1, SI_USER)), HeldSignals::Added::queued);
  EXPECT_EQ(held.add(info(SIGALRM, SI_USER)), HeldSignals::Added::coalesced);
  EXPECT_EQ(held.add(info(SIGRTMIN + 1, SI_QUEUE)), HeldSignals::Added::queued);
  EXPECT_EQ(held.add(info(SIGRTMIN + 1, SI_QUEUE)), HeldSignals::Added::queued);
  ASSERT_EQ(held.all().size(), 4u);
  EXPECT_EQ(held.all()[0].si_code, SI_KERNEL);  // the first one's information stays
  EXPECT_EQ(held.all()[1].si_signo, SIGUSR1);
}

TEST(HeldSignals, IsBounded) {
  HeldSignals held;
  for (std::size_t i = 0; i < HeldSignals::limit; ++i) {
    ASSERT_EQ(held.add(info(SIGRTMIN, SI_QUEUE)), HeldSignals::Added::queued);
  }
  EXPECT_EQ(held.add(info(SIGRTMIN, SI_QUEUE)), HeldSignals::Added::full);
  held.clear();
  EXPECT_TRUE(held.empty());
}

}  // namespace
}  // namespace culprit::agent
