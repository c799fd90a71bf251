#include "agent/exact_ticks.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "agent/kernel.h"
#include "agent/report.h"
#include "agent/trace_file.h"
#include "agent/watchdog.h"

namespace culprit::agent {
namespace {

/// PTRACE_SYSEMU_SINGLESTEP (linux/ptrace.h).
constexpr long ptrace_sysemu_singlestep = 32;

/// rr's time-slice signal (PerfCounters::TIME_SLICE_SIGNAL).
constexpr int time_slice_signal = SIGSTKFLT;

/// DR6 (Intel SDM vol. 3, 18.2.3): single-step, and the four debug address registers.
constexpr std::uint64_t status_step = 1 << 14;
constexpr std::uint64_t status_units = 0xf;
constexpr std::uintptr_t status_offset =
    offsetof(struct user, u_debugreg) + 6 * sizeof(std::uintptr_t);

constexpr std::uint64_t trap_flag = 1 << 8;

// This layer is what the agent's raw_ptrace() ends in, so it asks the kernel itself.
long kernel_ptrace(long request, pid_t tid, std::uintptr_t address, std::uintptr_t data) {
  return kernel_call(SYS_ptrace, request, tid, static_cast<long>(address), static_cast<long>(data));
}

bool peek_user(pid_t tid, std::uintptr_t offset, std::uint64_t* out) {
  return kernel_ptrace(PTRACE_PEEKUSER, tid, offset, reinterpret_cast<std::uintptr_t>(out)) >= 0;
}

bool is_step(long request) {
  return request == PTRACE_SINGLESTEP || request == ptrace_sysemu_singlestep;
}

SteppedKind next_kind(pid_t tid) {
  std::uint64_t at = 0;
  if (!peek_user(tid, offsetof(user_regs_struct, rip), &at)) return SteppedKind::other;
  // Two aligned words hold any prefixes and opcode that compilers emit; the second one is looked at
  // only where it matters, and may lie behind the mapping.
  std::uint8_t bytes[16];
  const std::uint64_t aligned = at & ~std::uint64_t{7};
  const std::size_t skip = at - aligned;
  std::size_t known = 0;
  for (std::size_t word = 0; word < 2; ++word) {
    std::uint64_t value = 0;
    if (kernel_ptrace(PTRACE_PEEKTEXT, tid, aligned + 8 * word,
                      reinterpret_cast<std::uintptr_t>(&value)) < 0) {
      break;
    }
    memcpy(bytes + 8 * word, &value, sizeof value);
    known += 8;
    if (known >= skip + 6) break;
  }
  if (known <= skip) return SteppedKind::other;
  return stepped_kind(std::span<const std::uint8_t>(bytes + skip, known - skip));
}

/// pushf has stored the trap flag of the step.
void clear_pushed_trap_flag(pid_t tid) {
  std::uint64_t sp = 0;
  std::uint64_t flags = 0;
  if (!peek_user(tid, offsetof(user_regs_struct, rsp), &sp) ||
      kernel_ptrace(PTRACE_PEEKDATA, tid, sp, reinterpret_cast<std::uintptr_t>(&flags)) < 0 ||
      (flags & trap_flag) == 0) {
    return;
  }
  kernel_ptrace(PTRACE_POKEDATA, tid, sp, flags & ~trap_flag);
}

}  // namespace

void ExactTicks::start(std::uint64_t most_steps) {
  active_ = true;
  most_steps_ = most_steps;
}

void ExactTicks::on_counting(pid_t tid, bool counting) {
  if (!active_) return;
  const auto [entry, is_new] = tasks_.try_emplace(tid);
  entry->second.counting = counting;
  if (is_new) watch_add_task(tid);
}

void ExactTicks::set_period(pid_t tid, int fd, std::uint64_t period) {
  if (!active_) return;
  Task& task = tasks_[tid];
  task.fd = fd;
  task.period = period;
}

std::uint64_t ExactTicks::ticks(pid_t tid) const {
  const auto found = tasks_.find(tid);
  return found == tasks_.end() ? 0 : found->second.ticks;
}

void ExactTicks::reset(pid_t tid) {
  const auto found = tasks_.find(tid);
  if (found != tasks_.end()) found->second.ticks = 0;
}

bool ExactTicks::resume(pid_t tid, long request, long signal, long* result) {
  if (!active_) return false;
  const auto found = tasks_.find(tid);
  if (found == tasks_.end()) return false;
  Task& task = found->second;
  const bool in_call = task.in_call;
  task.in_call = false;
  task.stretch = false;
  if (!task.counting || in_call) return false;
  task.request = request;
  *result = run(tid, task, signal);
  return true;
}

void ExactTicks::count_step() {
  ++steps_;
  if (most_steps_ == 0 || steps_ <= most_steps_) return;
  char why[256];
  snprintf(
      why, sizeof why,
      "the program executes more than %llu instructions; exact ticks (one step an instruction) "
      "are for tiny programs: use another engine, or a smaller input",
      static_cast<unsigned long long>(most_steps_));
  refuse(Refusal::other, why, kill_known_tasks);
}

long ExactTicks::run(pid_t tid, Task& task, long signal) {
  for (;;) {
    // With a signal the task goes to its handler, and executes nothing yet.
    task.kind = signal != 0 ? SteppedKind::other : next_kind(tid);
    const bool call = task.kind == SteppedKind::system_call;
    long request = PTRACE_SINGLESTEP;
    // On a system call the request decides where the task stops.
    if (is_step(task.request) || (call && task.request != PTRACE_CONT)) request = task.request;
    count_step();
    const long resumed = kernel_ptrace(request, tid, 0, static_cast<std::uintptr_t>(signal));
    if (resumed < 0) return resumed;
    // A delivered signal may stop, end or restart the task: no more than a step, but perhaps a
    // long one.
    const bool may_block = call || signal != 0;
    signal = 0;
    task.stretch = true;
    if (may_block) return 0;
    int status = 0;
    long waited = 0;
    do {
      waited = kernel_call(SYS_wait4, tid, to_register(&status), __WALL, 0);
    } while (waited == -EINTR);
    task.stretch = false;
    if (waited != tid) return 0;  // gone: the next wait finds out
    if (!swallows(tid, task, &status)) {
      ready_.push(tid, status);
      return 0;
    }
  }
}

bool ExactTicks::swallows(pid_t tid, Task& task, int* status) {
  if (!WIFSTOPPED(*status)) return false;
  task.in_call = *status >> 16 == PTRACE_EVENT_SECCOMP;
  if (*status >> 8 != SIGTRAP) return false;
  siginfo_t info;
  memset(&info, 0, sizeof info);
  if (kernel_ptrace(PTRACE_GETSIGINFO, tid, 0, reinterpret_cast<std::uintptr_t>(&info)) < 0) {
    return false;
  }
  std::uint64_t debug_status = 0;
  peek_user(tid, status_offset, &debug_status);
  const bool own_step = is_step(task.request);
  // TRAP_TRACE: a step (that may have hit a debug register too). TRAP_BRKPT: a step over a system
  // call (user_single_step_report). SIGTRAP: the entry of a signal handler (ptrace_notify).
  const bool stepped =
      task.kind != SteppedKind::breakpoint &&
      (info.si_code == TRAP_TRACE || info.si_code == TRAP_BRKPT || info.si_code == SIGTRAP);
  if (stepped && task.kind == SteppedKind::conditional_branch) ++task.ticks;
  if (stepped && task.kind == SteppedKind::push_flags) clear_pushed_trap_flag(tid);
  const bool hit = (debug_status & status_units) != 0 &&
                   (info.si_code == TRAP_TRACE || info.si_code == TRAP_HWBKPT);
  if (own_step) return false;
  if (stepped && !hit) {
    if (task.period == 0 || task.ticks < task.period) return true;
    // As the kernel would send it for a counter that has come to the end of its period.
    memset(&info, 0, sizeof info);
    info.si_signo = time_slice_signal;
    info.si_code = POLL_IN;
    info.si_fd = task.fd;
    kernel_ptrace(PTRACE_SETSIGINFO, tid, 0, reinterpret_cast<std::uintptr_t>(&info));
    *status = time_slice_signal << 8 | 0x7f;
  } else if (stepped) {
    info.si_code = TRAP_HWBKPT;
    kernel_ptrace(PTRACE_SETSIGINFO, tid, 0, reinterpret_cast<std::uintptr_t>(&info));
  }
  // The kernel keeps the bits of the last debug exception: those of our steps are not for rr.
  if ((debug_status & status_step) != 0) {
    kernel_ptrace(PTRACE_POKEUSER, tid, status_offset, debug_status & ~status_step);
  }
  return false;
}

bool ExactTicks::has_status(pid_t tid) { return active_ && ready_.take(tid, true).has_value(); }

bool ExactTicks::take_status(pid_t* tid, int* status) {
  if (!active_) return false;
  const auto entry = ready_.take(*tid, false);
  if (!entry) return false;
  *tid = entry->tid;
  *status = entry->status;
  return true;
}

bool ExactTicks::on_status(pid_t tid, int status) {
  if (!active_) return false;
  const auto found = tasks_.find(tid);
  if (found == tasks_.end()) return false;
  Task& task = found->second;
  if (!WIFSTOPPED(status)) {
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      tasks_.erase(found);
      watch_remove_task(tid);
    }
    return false;
  }
  if (!task.stretch) {
    task.in_call = status >> 16 == PTRACE_EVENT_SECCOMP;
    return false;
  }
  task.stretch = false;
  int shown = status;
  if (!swallows(tid, task, &shown)) {
    if (shown == status) return false;
    ready_.push(tid, shown);
    return true;
  }
  if (run(tid, task, 0) < 0) return false;  // killed meanwhile
  return true;
}

bool trace_has_exact_ticks() {
  return find_trace_file(exact_ticks_file,
                         [](const std::string& text) { return text.starts_with("v1"); });
}

ExactTicks& exact_ticks() {
  static ExactTicks* exact = new ExactTicks;
  return *exact;
}

}  // namespace culprit::agent
