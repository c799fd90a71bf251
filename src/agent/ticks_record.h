// Recording with software ticks: what may and what may not happen inside user code.
//
// Ticks are constant, so a replay finds its way by the order of events and by registers alone. An
// event in the middle of user code has no such place: the registers may be the same at an earlier
// moment, when memory is not. Hence the invariant of this filter:
//
//   rr sees a stop that is not caused by the instruction itself only where nothing has executed
//   since the last stop that it saw.
//
// * Asynchronous signals elsewhere are held, and sent again, with their own siginfo, when the task
//   enters its next system call; they are then pending when rr resumes the task from that call's
//   exit, so the kernel delivers them before the next instruction.
// * Time-slice signals (rr's SIGSTKFLT) and PTRACE_INTERRUPT stops are ignored there. Threads are
//   switched at system calls only.
// * "Nothing has executed" is proved, not guessed from registers (a loop may come back to the same
//   ones): the signal was already pending when rr resumed the task. If it was pending for the whole
//   process, another thread could have taken it and a second one come later; then the registers
//   must be unchanged as well.
// * SIGKILL cannot be held. A task that it ends in user code is shown to rr with the registers of
//   the last event before, so the replay of that task stops there; statistics count such tasks.
//
// * At a landing (landing_counter.h) the moment has a name that a replay finds again, though code
// was
//   executed: there a time slice may end and a held signal may be shown.
//
// Where this would mean to wait for ever, the loop is looked at for a landing, and the recording
// ends: to be made again with that landing, or refused (watchdog.h).
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "agent/held_signals.h"
#include "agent/tracee_filter.h"

namespace culprit::agent {

/// The filter of a recording. Used by the tracer's thread only.
class RecordFilter final : public TraceeFilter {
 public:
  /// `learns`: end the recording for a landing that it should be made with.
  explicit RecordFilter(bool learns);
  bool before_resume(pid_t tid, Resume resume) override;
  bool on_stop(pid_t tid, int status) override;
  bool on_interrupt(pid_t tid) override;
  void on_counting(pid_t tid, bool counting) override;

 private:
  /// A held signal that was sent again. The kernel does not let others forge the siginfo of most
  /// signals, so it travels with a number of ours and is exchanged at the stop.
  struct Sent {
    std::uintptr_t cookie = 0;
    siginfo_t info;
  };
  struct Task {
    pid_t group = 0;  ///< thread group, 0: not asked yet
    bool counting = true;
    bool running = false;
    bool exiting = false;  ///< PTRACE_EVENT_EXIT has been seen
    Resume last;
    /// Signals that were pending when rr resumed the task (bit number - 1), if it counts.
    std::uint64_t pending_thread = 0;
    std::uint64_t pending_process = 0;
    user_regs_struct registers{};  ///< at that resume
    bool registers_known = false;
    HeldSignals held;
    std::vector<Sent> sent;
  };

  bool on_signal(pid_t tid, Task& task, int signal);
  void note_pending(pid_t tid, Task& task);
  bool may_land(pid_t tid, const Task& task, int signal) const;
  bool on_landing(pid_t tid, Task& task);
  void land(pid_t tid, Task& task);
  void look_at_loop(pid_t tid, Task& task);
  void swallow(pid_t tid, Task& task);
  void release(pid_t tid, Task& task);
  void forget(pid_t tid);

  std::unordered_map<pid_t, Task> tasks_;
  std::uintptr_t next_cookie_ = 0;
  std::uint64_t landing_executions_ = 0;
  const bool learns_;
};

}  // namespace culprit::agent
