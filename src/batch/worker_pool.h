// Many child processes, some at a time, each with a time limit.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/subprocess.h"

namespace culprit::batch {

/// How one child ended.
struct Finished {
  std::size_t index = 0;
  ExitStatus status;       ///< meaningful if `start_error` is empty
  bool timed_out = false;  ///< it was ended at the time limit
  std::chrono::milliseconds elapsed{0};
  std::string errors;       ///< what it wrote to stderr: the beginning and the end
  std::string start_error;  ///< it could not be started, and why
};

struct PoolOptions {
  unsigned workers = 1;
  std::chrono::milliseconds limit{600'000};
  /// After SIGTERM a child has so long to clean up before SIGKILL ends it and its group.
  std::chrono::milliseconds grace{5000};
};

/// What the pool asks and tells. All calls come from the thread that called run_pool().
struct PoolWork {
  /// What to run for `index`. Its stderr is captured whatever this says; it gets a process group.
  std::function<ProcessOptions(std::size_t)> command;
  /// One has ended. An error stops the pool as an interruption does.
  std::function<Status(const Finished&)> finished;
  /// Called several times a second, with the number of children that run.
  std::function<void(unsigned)> tick;
};

/// Runs 0 … count - 1, in this order, `workers` at a time. One that crashes, hangs or cannot be
/// started is told and does not stop the others. After an interruption (base/signals.h) or an error
/// of `finished` every child is ended, by its pid, before this returns; those are not told. Errors:
/// interrupted; the error of `finished`; io (poll).
[[nodiscard]] Status run_pool(std::size_t count, const PoolWork& work, const PoolOptions& options);

}  // namespace culprit::batch
