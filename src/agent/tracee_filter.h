// The seam inside the agent between the libc interposition (which rr calls) and what is done with the
// tracee's stops. Exactly one filter is active in a process: software ticks alone while recording, a
// pass (on top of the constant ticks) while replaying.
//
// The agent is loaded into rr's supervisor. It must not throw, must not allocate much, must link
// nothing but libc/libstdc++, and must leave errno as the interposed call would.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace culprit::agent {

/// A resume request that rr made: PTRACE_CONT, PTRACE_SYSCALL, PTRACE_SYSEMU, PTRACE_SINGLESTEP or
/// PTRACE_SYSEMU_SINGLESTEP, with the signal to deliver (0: none).
struct Resume {
  long request = 0;
  long signal = 0;
};

/// Sees each resume and each stop of each traced task.
class TraceeFilter {
 public:
  virtual ~TraceeFilter() = default;

  /// rr resumes `tid`, which is stopped. Returns true if the filter resumed the task itself (or has
  /// queued a status for rr with queue_status()); false to let the request go to the kernel as it is.
  virtual bool before_resume(pid_t tid, Resume resume) = 0;

  /// `tid` reported `status` (as waitpid gives it) and rr has not seen it yet. Returns true if the
  /// status is swallowed: the filter has resumed the task, and rr goes on waiting.
  virtual bool on_stop(pid_t tid, int status) = 0;

  /// rr asks for a PTRACE_INTERRUPT of `tid`. Returns true to leave it out (rr sees success).
  virtual bool on_interrupt(pid_t tid) {
    (void)tid;
    return false;
  }

  /// The ticks counter of `tid` was opened (with counting true), started or stopped: while it counts,
  /// the task runs its own code; while it does not, rr uses the task for purposes of its own.
  virtual void on_counting(pid_t tid, bool counting) {
    (void)tid;
    (void)counting;
  }

  /// rr is about to wait for `tid` (or any task: -1) and nothing is queued. For watchdogs; may
  /// return a number of milliseconds after which it wants to be called again, 0 for never.
  virtual int before_wait(pid_t tid) {
    (void)tid;
    return 0;
  }
};

/// ptrace(2) straight to the kernel, past the interposition. Kernel conventions: PEEK requests store
/// through `data`. Returns -1 and sets errno on failure.
long raw_ptrace(long request, pid_t tid, std::uintptr_t address, std::uintptr_t data);

/// waitpid(2) straight to the kernel, past the interposition and the queue.
pid_t raw_waitpid(pid_t tid, int* status, int options);

/// Makes the next waitpid/waitid of rr for `tid` (or for any task) return `status` at once.
void queue_status(pid_t tid, int status);

/// The active filter; null while none is installed.
TraceeFilter* active_filter();
void install_filter(TraceeFilter* filter);

}  // namespace culprit::agent
