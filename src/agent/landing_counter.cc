#include "agent/landing_counter.h"

#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "agent/tracee_filter.h"

namespace culprit::agent {
namespace {

/// DR6 (Intel SDM vol. 3, 18.2.3): the trap flag's single-step.
constexpr std::uint64_t status_step = 1 << 14;

/// RF of the flags register.
constexpr unsigned long resume_flag = 1 << 16;

std::uintptr_t debug_register(std::size_t index) {
  return offsetof(struct user, u_debugreg) + index * sizeof(std::uintptr_t);
}

bool peek_user(pid_t tid, std::uintptr_t offset, std::uint64_t* out) {
  return raw_ptrace(PTRACE_PEEKUSER, tid, offset, reinterpret_cast<std::uintptr_t>(out)) >= 0;
}

bool poke_user(pid_t tid, std::uintptr_t offset, std::uint64_t value) {
  return raw_ptrace(PTRACE_POKEUSER, tid, offset, value) >= 0;
}

/// Has rr put a breakpoint on this instruction? (No landing is an int3 of the program's own.)
bool has_breakpoint(pid_t tid, std::uint64_t address) {
  std::uint64_t word = 0;
  if (raw_ptrace(PTRACE_PEEKTEXT, tid, address & ~std::uint64_t{7},
                 reinterpret_cast<std::uintptr_t>(&word)) < 0) {
    return false;
  }
  return (word >> (8 * (address & 7)) & 0xff) == 0xcc;
}

}  // namespace

void LandingCounter::start(const LandingSet& landings, std::size_t first_register, bool replaying) {
  landings_ = landings;
  first_register_ = first_register;
  replaying_ = replaying;
  control_ = 0;
  status_ = 0;
  for (std::size_t i = 0; i < landings.size(); ++i) {
    // L<i> set, R/W<i> and LEN<i> zero: execution (Intel SDM vol. 3, 18.2.4).
    control_ |= std::uint64_t{1} << (2 * (first_register + i));
    status_ |= std::uint64_t{1} << (first_register + i);
  }
}

bool LandingCounter::arm(pid_t tid) {
  Task& task = tasks_[tid];
  std::uint64_t control = 0;
  // Gone: the resume will tell rr.
  if (!peek_user(tid, debug_register(7), &control)) return true;
  if (task.armed && (control & control_) == control_) return true;
  if (!task.armed) {
    // A new task shows the DR7 of its parent, without having its breakpoints (Linux's copy_thread()
    // leaves thread.ptrace_dr7 as it was copied).
    if (!poke_user(tid, debug_register(7), 0)) return false;
    control = 0;
    task.armed = true;
  }
  for (std::size_t i = 0; i < landings_.size(); ++i) {
    if (!poke_user(tid, debug_register(first_register_ + i), landings_[i])) return false;
  }
  return poke_user(tid, debug_register(7), control | control_);
}

LandingCounter::Hit LandingCounter::on_trap(pid_t tid, bool* stepped) {
  *stepped = false;
  std::uint64_t status = 0;
  std::uint64_t address = 0;
  if (!peek_user(tid, debug_register(6), &status) || (status & status_) == 0 ||
      !peek_user(tid, offsetof(user_regs_struct, rip), &address)) {
    return Hit::none;
  }
  *stepped = (status & status_step) != 0;
  poke_user(tid, debug_register(6), status & ~status_);
  if (!landings_.contains(address)) return Hit::none;
  Task& task = tasks_[tid];
  const bool again = task.shown_at == address;
  task.last_hit = address;
  // rr's own breakpoint here will stop the task, with the execution yet to come.
  const bool will_be_shown = replaying_ && has_breakpoint(tid, address);
  task.shown_at = will_be_shown ? address : 0;
  if (again) return Hit::again;
  ++task.ticks;
  return Hit::counted;
}

void LandingCounter::shown(pid_t tid) {
  // Whether the resume flag survives what rr does with the task must not matter: without it the
  // same execution always faults again.
  user_regs_struct registers;
  if (raw_ptrace(PTRACE_GETREGS, tid, 0, reinterpret_cast<std::uintptr_t>(&registers)) < 0) return;
  registers.eflags &= ~resume_flag;
  raw_ptrace(PTRACE_SETREGS, tid, 0, reinterpret_cast<std::uintptr_t>(&registers));
  Task& task = tasks_[tid];
  task.shown_at = task.last_hit;
}

std::uint64_t LandingCounter::ticks(pid_t tid) const {
  const auto found = tasks_.find(tid);
  return found == tasks_.end() ? 0 : found->second.ticks;
}

void LandingCounter::reset(pid_t tid) {
  const auto found = tasks_.find(tid);
  if (found != tasks_.end()) found->second.ticks = 0;
}

LandingCounter& landing_counter() {
  static LandingCounter* counter = new LandingCounter;
  return *counter;
}

}  // namespace culprit::agent
