#include "batch/worker_pool.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <thread>

#include "base/signals.h"

namespace culprit::batch {
namespace {

using std::chrono::milliseconds;

/// Shell scripts as cases, and how they ended.
struct Cases {
  std::vector<std::string> scripts;
  std::map<std::size_t, Finished> finished;
  unsigned most = 0;
  Status status;

  void go(PoolOptions options) {
    PoolWork work;
    work.command = [this](std::size_t index) {
      ProcessOptions out;
      out.argv = {"/bin/sh", "-c", scripts[index]};
      if (scripts[index] == "missing") out.argv = {"/no/such/program"};
      out.out.kind = OutputMode::Kind::discard;
      return out;
    };
    work.finished = [this](const Finished& one) -> Status {
      EXPECT_FALSE(finished.contains(one.index));
      finished[one.index] = one;
      return {};
    };
    work.tick = [this](unsigned running) { most = std::max(most, running); };
    status = run_pool(scripts.size(), work, options);
  }
};

TEST(WorkerPool, OneBadCaseDoesNotStopTheRest) {
  Cases run;
  run.scripts = {
      "exit 0",          "kill -SEGV $$",        "missing",
      "exec sleep 1000", "echo why >&2; exit 3", "trap '' TERM; while :; do sleep 1000; done",
      "exit 0"};
  PoolOptions options;
  options.workers = 3;
  options.limit = milliseconds(700);
  options.grace = milliseconds(300);
  run.go(options);
  ASSERT_TRUE(run.status.ok()) << run.status.error().message;
  ASSERT_EQ(run.finished.size(), run.scripts.size());
  EXPECT_TRUE(run.finished[0].status.success());
  EXPECT_EQ(run.finished[1].status.signal, SIGSEGV);
  EXPECT_NE(run.finished[2].start_error, "");
  EXPECT_TRUE(run.finished[3].timed_out);
  EXPECT_EQ(run.finished[3].status.signal, SIGTERM);
  EXPECT_EQ(run.finished[4].status.code, 3);
  EXPECT_EQ(run.finished[4].errors, "why\n");
  EXPECT_TRUE(run.finished[5].timed_out);
  EXPECT_EQ(run.finished[5].status.signal, SIGKILL);
  EXPECT_TRUE(run.finished[6].status.success());
  EXPECT_LE(run.most, 3U);
}

TEST(WorkerPool, ALoudChildIsBounded) {
  Cases run;
  run.scripts = {"head -c 30000000 /dev/zero >&2"};
  run.go({});
  ASSERT_TRUE(run.status.ok());
  EXPECT_TRUE(run.finished[0].status.success());
  EXPECT_LE(run.finished[0].errors.size(), std::size_t{64} << 10);
}

TEST(WorkerPool, AnErrorOfTheListenerEndsAllChildren) {
  PoolWork work;
  work.command = [](std::size_t index) {
    ProcessOptions out;
    out.argv = {"/bin/sh", "-c", index == 0 ? "exit 0" : "exec sleep 1000"};
    return out;
  };
  work.finished = [](const Finished&) -> Status { return Error{ErrorCode::io, "disk full"}; };
  work.tick = [](unsigned) {};
  PoolOptions options;
  options.workers = 2;
  const auto start = std::chrono::steady_clock::now();
  const Status status = run_pool(2, work, options);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "disk full");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST(WorkerPool, AnInterruptionEndsAllChildren) {
  install_interrupt_handlers();
  Cases run;
  run.scripts.assign(4, "trap '' TERM; exec sleep 1000");
  run.scripts.push_back("exec sleep 1001");
  PoolOptions options;
  options.workers = 5;
  options.grace = milliseconds(300);
  const pid_t self = ::getpid();
  std::thread killer([self] {
    std::this_thread::sleep_for(milliseconds(500));
    ::kill(self, SIGTERM);
  });
  const auto start = std::chrono::steady_clock::now();
  run.go(options);
  killer.join();
  clear_interrupt();
  ASSERT_FALSE(run.status.ok());
  EXPECT_EQ(run.status.error().code, ErrorCode::interrupted);
  EXPECT_TRUE(run.finished.empty());
  // One grace period for all, not one for each.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
  // The pool has reaped what it started.
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST(WorkerPool, NothingToDo) {
  Cases run;
  run.go({});
  EXPECT_TRUE(run.status.ok());
}

}  // namespace
}  // namespace culprit::batch
