// Landings: places in user code where an asynchronous event may be put with software ticks.
//
// A landing is the address X of an instruction of a loop in which a thread waits for another one
// (or for a signal) without a system call. The executions of X are counted with a debug register,
// from the beginning of the recording on and in every task, and the count is what rr reads as the
// task's ticks. So "ticks" has the one property that rr needs of it: at most one moment of a task
// has the instruction pointer X and a given count, namely X's n-th execution about to begin. rr
// stores the count with each event, looks for it in replay, and ends a replay whose counts differ
// anywhere. docs/design.md, "Landings", has the proof.
//
// An execution is counted once, at the fault before it: the kernel resumes behind that fault with
// the resume flag set (RF, Intel SDM vol. 3, 18.3.1.1), also after page faults and interrupts.
// Where rr is shown a stop at X the flag is lost, and the same execution faults again; that second
// fault is recognised and not counted (LandingCounter::Task::shown_at).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "agent/landing_set.h"

namespace culprit::agent {

/// Counts the executions of the landings. Used by the tracer's thread only.
class LandingCounter {
 public:
  /// Where the landings' debug registers begin: in front of them are those of a pass.
  void start(const LandingSet& landings, std::size_t first_register, bool replaying);
  bool active() const { return !landings_.empty(); }
  const LandingSet& landings() const { return landings_; }

  /// Sets the debug registers of a stopped task if they are not (exec and rr itself clear them).
  /// False: the kernel refuses.
  bool arm(pid_t tid);
  /// DR7's bits of the landings.
  std::uint64_t control_bits() const { return control_; }
  /// DR6's bits of the landings.
  std::uint64_t status_bits() const { return status_; }

  enum class Hit : unsigned char {
    none,     ///< the stop is not a landing's
    again,    ///< an execution that was counted before
    counted,  ///< a new one
  };
  /// A task stopped with SIGTRAP: was it (also) about to execute a landing? Then it is counted and
  /// taken out of DR6. `stepped` is set if the same stop ends a single-step.
  Hit on_trap(pid_t tid, bool* stepped);
  /// rr will see the task stopped where the last hit was.
  void shown(pid_t tid);

  /// Executions since reset(), that is what the ticks counter of the task reads.
  std::uint64_t ticks(pid_t tid) const;
  void reset(pid_t tid);
  void forget(pid_t tid) { tasks_.erase(tid); }

 private:
  struct Task {
    bool armed = false;  ///< at least once
    std::uint64_t ticks = 0;
    std::uint64_t last_hit = 0;  ///< address of the last hit
    std::uint64_t shown_at = 0;  ///< a counted execution that will fault again; 0: none
  };

  LandingSet landings_;
  std::size_t first_register_ = 0;
  bool replaying_ = false;
  std::uint64_t control_ = 0;
  std::uint64_t status_ = 0;
  std::unordered_map<pid_t, Task> tasks_;
};

/// The counter of this rr process. Never destroyed.
LandingCounter& landing_counter();

}  // namespace culprit::agent
