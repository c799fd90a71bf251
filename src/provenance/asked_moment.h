// A moment that a person stands at in a debugger, found again as a mark of a pass.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

#include "base/result.h"
#include "base/types.h"
#include "replay/replay.h"
#include "replay/trace_index.h"
#include "report/model.h"

namespace culprit::provenance {

/// What a debugger under rr can tell of where it stands: rr's event, the thread, and its registers.
struct AskedMoment {
  /// The newest event that rr has completed or, while it runs towards the next one, that next one:
  /// rr before 5.8 counts an event as soon as it has read its frame ("Current event").
  EventNumber event;
  ThreadId thread;
  Address pc;  ///< the instruction that the thread executes next
  /// The general-purpose registers, by Gpr. They tell the turns of a loop apart.
  std::optional<std::array<std::uint64_t, 16>> registers;
  /// Of the executions of `pc` by the thread since its last system call before the event (and with
  /// these registers): the k-th, from 1. Without it the last one counts.
  std::optional<std::uint64_t> hit;
};

/// Where that is.
struct FoundMoment {
  replay::Mark mark;
  ProcessId process;
  /// Moments that the description fits. More than 1 without a `hit`: the last one was taken.
  std::uint64_t alike = 1;
};

/// At most one pass, to the thread's next system call. A thread that has just entered a system call
/// (rax is -ENOSYS then, as the kernel sets it) is found without one. Errors: usage (no such event
/// or thread, or the thread was never there), and those of Replay::run.
[[nodiscard]] Result<FoundMoment> find_asked_moment(replay::Replay& replay,
                                                    const replay::TraceIndex& index,
                                                    const AskedMoment& asked,
                                                    std::chrono::milliseconds deadline,
                                                    report::Stats& stats);

}  // namespace culprit::provenance
