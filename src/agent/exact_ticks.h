// Exact ticks without a counter: each instruction of a task's own code is single-stepped, and the
// conditional branches among them are counted. That is what rr's ticks are with a PMU, so all of rr
// works: preemption and signals anywhere, breakpoints, `rr replay -t`, and reverse execution. At
// some 15 to 50 µs an instruction it is for tiny programs and for tests.
//
// This layer lies *below* the filters (tracee_filter.h): they and rr see a task that was resumed
// with the request that they made and that stops where it would have stopped without stepping.
//
// Why the count is a function of the execution:
// * A step counts if the kernel says that it was completed (SIGTRAP with TRAP_TRACE and the like)
// and
//   the instruction that was about to execute is a conditional branch. A fault, a breakpoint (int3,
//   or a debug register's execute fault) and a signal that arrives in between complete nothing: the
//   kernel hands out a step's own SIGTRAP before any asynchronous signal.
// * It does not matter who steps: rr's own steps are looked at in the same way.
// * An iteration of a `rep` is a step; it is no branch.
// * A system call instruction is not a branch either. The task is resumed on it with what rr asked
//   for (or a step, for PTRACE_CONT), and nobody waits here, since it may block.
//
// What a step leaves behind must not be seen: the trap flag that pushf has stored is taken out of
// memory, and DR6's single-step bit is cleared where rr did not ask for a step. rr sets that bit
// itself at times (fast_forward.cc, "Fake singlestep status"): reads of DR6 are therefore not
// changed, only the register once, at the stop.
//
// Source: ptrace(2); Linux arch/x86/kernel/traps.c (exc_debug_user, get_si_code) and step.c;
// rr 5.6.0 Task.cc (resume_execution, compute_trap_reasons) and PerfCounters.cc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <unordered_map>

#include "agent/exact_ticks_file.h"
#include "agent/stepped_instruction.h"
#include "agent/wait_queue.h"

namespace culprit::agent {

/// The steps and the counts of all tasks. Used by the tracer's thread only.
class ExactTicks {
 public:
  /// From now on tasks are stepped. `most_steps`: beyond it the recording is refused; 0: no limit.
  void start(std::uint64_t most_steps);
  bool active() const { return active_; }

  // What rr does with the ticks counter of a task (perf_counters.h).
  void on_counting(pid_t tid, bool counting);
  /// After `period` ticks since the last reset the task gets the time-slice signal of descriptor
  /// `fd`.
  void set_period(pid_t tid, int fd, std::uint64_t period);
  std::uint64_t ticks(pid_t tid) const;
  void reset(pid_t tid);

  /// A resume of `tid` with PTRACE_CONT, _SYSCALL, _SYSEMU or one of the steps. True: it was done
  /// here, and `*result` is what the kernel's ptrace(2) would have returned (negative errno).
  bool resume(pid_t tid, long request, long signal, long* result);
  /// A status that is ready for the next wait for `tid` (-1: any).
  bool has_status(pid_t tid);
  bool take_status(pid_t* tid, int* status);
  /// The kernel reported a status of `tid`. True: the task goes on (or its next status is ready).
  bool on_status(pid_t tid, int status);

 private:
  struct Task {
    bool counting = false;
    bool in_call = false;  ///< stopped inside a system call (PTRACE_EVENT_SECCOMP)
    bool stretch = false;  ///< resumed by this layer, in the kernel's hands (a system call)
    long request = 0;      ///< of the layer above
    SteppedKind kind = SteppedKind::other;  ///< of the instruction that is about to execute
    int fd = -1;
    std::uint64_t period = 0;
    std::uint64_t ticks = 0;
  };

  /// Steps the task until it has a status for the layer above, or enters a system call.
  long run(pid_t tid, Task& task, long signal);
  /// Looks at a stop. True: it is not for the layer above, and the task must be stepped on.
  bool swallows(pid_t tid, Task& task, int* status);
  void count_step();

  bool active_ = false;
  std::uint64_t most_steps_ = 0;
  std::uint64_t steps_ = 0;
  WaitQueue ready_;
  std::unordered_map<pid_t, Task> tasks_;
};

/// The one of this rr process. Never destroyed.
ExactTicks& exact_ticks();

/// Does the trace that this rr process was asked to replay have exact ticks? (The first argument
/// that is a directory with the file above.)
bool trace_has_exact_ticks();

}  // namespace culprit::agent
