#include "base/subprocess.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "base/file_descriptor.h"
#include "base/signals.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

ProcessOptions shell(const std::string& script) {
  ProcessOptions out;
  out.argv = {"sh", "-c", script};
  return out;
}

TEST(Subprocess, CapturesBothStreamsAndTheExitCode) {
  const auto r = run_process(shell("echo out; echo err >&2; exit 7"), seconds(10));
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ(r->out.text, "out\n");
  EXPECT_EQ(r->err.text, "err\n");
  EXPECT_EQ(r->status.code, 7);
  EXPECT_EQ(r->status.signal, 0);
  EXPECT_EQ(r->status.describe(), "exit code 7");
}

TEST(Subprocess, TellsSignals) {
  const auto r = run_process(shell("kill -SEGV $$"), seconds(10));
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->status.signal, SIGSEGV);
  EXPECT_EQ(r->status.describe(), "signal 11 (SIGSEGV)");
  EXPECT_EQ(signal_name(99), "signal 99");
}

TEST(Subprocess, KeepsTheBeginningAndTheEndOfALongStream) {
  ProcessOptions o = shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done");
  o.out.limit = 1000;
  const auto r = run_process(o, seconds(30));
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->out.text.size(), 1000u);
  EXPECT_TRUE(r->out.text.starts_with("line 0\nline 1\n"));
  EXPECT_TRUE(r->out.text.ends_with("line 19999\n"));
  ASSERT_TRUE(r->out.gap.has_value());
  EXPECT_EQ(*r->out.gap, 500u);
  EXPECT_EQ(r->out.total, 208890u);
}

TEST(Subprocess, EndsAtItsDeadlineWithAllItsChildren) {
  const auto start = Clock::now();
  const auto r = run_process(shell("sleep 1000 & sleep 1000; true"), milliseconds(200));
  ASSERT_TRUE(r.ok());
  EXPECT_TRUE(r->timed_out);
  EXPECT_EQ(r->status.signal, SIGKILL);
  EXPECT_LT(Clock::now() - start, seconds(5));
}

TEST(Subprocess, DoesNotWaitForAGrandchildThatKeepsThePipe) {
  const auto start = Clock::now();
  auto process = Process::start(shell("sleep 5 & echo $!"));
  ASSERT_TRUE(process.ok());
  const auto status = process->wait(seconds(4));
  ASSERT_TRUE(status.ok() && status->has_value());
  EXPECT_LT(Clock::now() - start, seconds(4));
  const int grandchild = std::atoi(process->captured_out().text.c_str());
  ASSERT_GT(grandchild, 1);
  EXPECT_EQ(::kill(grandchild, SIGKILL), 0) << "our own sleep";
}

TEST(Subprocess, ChangesTheEnvironmentAsAsked) {
  ::setenv("CULPRIT_TEST_GOES", "x", 1);
  ::setenv("CULPRIT_TEST_STAYS", "y", 1);
  ProcessOptions o = shell("echo \"${CULPRIT_TEST_GOES-unset} $CULPRIT_TEST_STAYS $NEW\"; pwd");
  o.unset_environment = {"CULPRIT_TEST_GOES"};
  o.set_environment = {{"NEW", "a=b c"}};
  o.working_directory = "/";
  const auto r = run_process(o, seconds(10));
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->out.text, "unset y a=b c\n/\n");
}

TEST(Subprocess, GivesOnlyTheDescriptorsAskedFor) {
  int fds[2];
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  const FileDescriptor given(fds[1]);
  const FileDescriptor hidden(fds[0]);
  ProcessOptions o = shell("for f in " + std::to_string(fds[0]) + " " + std::to_string(fds[1]) +
                           "; do [ -e /proc/self/fd/$f ] && echo $f; done");
  o.keep_fds = {fds[1]};
  const auto r = run_process(o, seconds(10));
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->out.text, std::to_string(fds[1]) + "\n");
  EXPECT_NE(::fcntl(fds[1], F_GETFD) & FD_CLOEXEC, 0) << "unchanged on our side";
}

TEST(Subprocess, ReportsWhatCannotRun) {
  ProcessOptions o;
  o.argv = {"/nowhere/program"};
  EXPECT_EQ(Process::start(o).error().code, ErrorCode::not_found);
  o.argv = {"no-such-program-anywhere"};
  EXPECT_EQ(Process::start(o).error().code, ErrorCode::not_found);
  o.argv = {};
  EXPECT_FALSE(Process::start(o).ok());
  o.argv = {"true"};
  o.working_directory = "/nowhere";
  EXPECT_EQ(Process::start(o).error().code, ErrorCode::io);
}

TEST(Subprocess, RunsWhileItIsWaitedForAndIsReapedByItsOwner) {
  pid_t pid = 0;
  {
    auto process = Process::start(shell("sleep 1000"));
    ASSERT_TRUE(process.ok());
    pid = process->pid();
    const auto status = process->wait(milliseconds(50));
    ASSERT_TRUE(status.ok());
    EXPECT_FALSE(status->has_value());
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(Subprocess, NeverBlocksOnAFullPipeThatNobodyReads) {
  auto process = Process::start(shell("head -c 3000000 /dev/zero; echo done >&2"));
  ASSERT_TRUE(process.ok());
  std::this_thread::sleep_for(milliseconds(10));
  const auto status = process->wait(seconds(20));
  ASSERT_TRUE(status.ok() && status->has_value());
  EXPECT_EQ(process->captured_out().total, 3000000u);
  EXPECT_EQ(process->captured_err().text, "done\n");
}

TEST(Subprocess, AnInterruptionEndsTheWait) {
  install_interrupt_handlers();
  clear_interrupt();
  auto process = Process::start(shell("sleep 1000"));
  ASSERT_TRUE(process.ok());
  std::thread later([] {
    std::this_thread::sleep_for(milliseconds(50));
    ::kill(::getpid(), SIGTERM);
  });
  const auto status = process->wait(seconds(20));
  later.join();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::interrupted);
  EXPECT_EQ(interrupt_signal(), SIGTERM);
  const auto regardless = process->wait(milliseconds(10), /*interruptible=*/false);
  EXPECT_TRUE(regardless.ok()) << "the interruption is still pending, but was not asked for";
  clear_interrupt();
}

}  // namespace
}  // namespace culprit
