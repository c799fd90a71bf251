#include "agent/pass/pass_engine.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "agent/landing_counter.h"
#include "agent/pass/tracee.h"
#include "base/resume_flag.h"

namespace culprit::agent {
namespace {

// asm/ptrace-abi.h; not in every libc's <sys/ptrace.h>.
constexpr long kSysemu = 31;
constexpr long kSysemuSinglestep = 32;
/// The rr page and its neighbours (rr 5.6 src/preload/preload_interface.h: RR_PAGE_ADDR 0x70000000;
/// the library page starts three pages before).
constexpr std::uint64_t kRrPageStart = 0x6fffd000;
constexpr std::uint64_t kRrPageEnd = 0x70003000;
constexpr int kSyscallStop = SIGTRAP | 0x80;
constexpr std::uint8_t kInt3 = 0xcc;

bool in_rr_page(std::uint64_t rip) { return rip >= kRrPageStart && rip < kRrPageEnd; }

/// System calls reported as MapEvents (x86-64 numbers, asm/unistd_64.h).
bool is_map_syscall(std::uint64_t number) {
  switch (number) {
    case SYS_mmap:
    case SYS_mprotect:
    case SYS_munmap:
    case SYS_brk:
    case SYS_mremap:
    case SYS_madvise:
    case SYS_shmat:
    case SYS_shmdt:
    case SYS_remap_file_pages:
    case SYS_pkey_mprotect:
    case SYS_clone:
    case SYS_fork:
    case SYS_vfork:
    case SYS_clone3:
    case SYS_execve:
    case SYS_execveat:
    case SYS_exit:
    case SYS_exit_group:
      return true;
    default:
      return false;
  }
}

/// System calls that can put other bytes behind an address.
bool replaces_pages(std::uint64_t number) {
  switch (number) {
    case SYS_mmap:
    case SYS_munmap:
    case SYS_brk:
    case SYS_mremap:
    case SYS_madvise:
    case SYS_shmat:
    case SYS_shmdt:
    case SYS_remap_file_pages:
    case SYS_execve:
    case SYS_execveat:
      return true;
    default:
      return false;
  }
}

bool is_fatal_by_default(int signal) {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE ||
         signal == SIGTRAP || signal == SIGABRT || signal == SIGSYS;
}

/// rr looks at errno after a ptrace or wait that succeeded: nothing done here may show in it.
class ErrnoKeeper {
 public:
  ErrnoKeeper() : saved_(errno) {}
  ~ErrnoKeeper() { errno = saved_; }
  ErrnoKeeper(const ErrnoKeeper&) = delete;
  ErrnoKeeper& operator=(const ErrnoKeeper&) = delete;

 private:
  int saved_;
};

bool rr_steps(const Task& task) {
  return task.last_resume.request == PTRACE_SINGLESTEP ||
         task.last_resume.request == kSysemuSinglestep;
}

siginfo_t siginfo_of(pid_t tid) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  raw_ptrace(PTRACE_GETSIGINFO, tid, 0, reinterpret_cast<std::uintptr_t>(&info));
  return info;
}

/// With real ticks rr steps the last instructions to a moment between two events.
bool is_step_stop(pid_t tid) { return siginfo_of(tid).si_code == TRAP_TRACE; }

/// rr's time slice signal (rr 5.6 PerfCounters.h, TIME_SLICE_SIGNAL): a counter of the real PMU has
/// run over. It is a stop between two events, not one of the program's own signals.
bool is_counter_stop(pid_t tid, int signal) {
  return signal == SIGSTKFLT && siginfo_of(tid).si_code == POLL_IN;
}

std::uint64_t call_key(std::int32_t thread, std::uint64_t ordinal) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(thread)) << 40 ^ ordinal;
}

std::uint64_t low_bytes(std::uint64_t value, unsigned size) {
  return size >= 8 ? value : value & ((std::uint64_t{1} << (8 * size)) - 1);
}

/// rdtsc, rdtscp and cpuid fault under rr, which then emulates them: such a SIGSEGV is not the
/// program's.
bool is_emulated_instruction(pid_t tid, std::uint64_t rip) {
  std::byte code[3] = {};
  const std::size_t got = read_memory(tid, rip, code);
  if (got < 2 || code[0] != std::byte{0x0f}) return false;
  return code[1] == std::byte{0x31} || code[1] == std::byte{0xa2} ||
         (got == 3 && code[1] == std::byte{0x01} && code[2] == std::byte{0xf9});
}

/// The length of a string instruction with a rep prefix; 0 for any other instruction. (Intel SDM
/// vol. 2, 2.1: prefixes in any order, then REX, then the opcode; A4-A7 and AA-AF are the string
/// operations.)
std::size_t repeat_length(std::span<const std::byte> code) {
  bool repeated = false;
  std::size_t at = 0;
  for (; at < code.size(); ++at) {
    const auto byte = std::to_integer<unsigned>(code[at]);
    if (byte == 0xf2 || byte == 0xf3) {
      repeated = true;
    } else if (byte != 0x66 && byte != 0x67 && byte != 0x2e && byte != 0x36 && byte != 0x3e &&
               byte != 0x26 && byte != 0x64 && byte != 0x65) {
      break;
    }
  }
  if (at < code.size() && (code[at] & std::byte{0xf0}) == std::byte{0x40}) ++at;
  if (!repeated || at >= code.size()) return 0;
  const auto opcode = std::to_integer<unsigned>(code[at]);
  const bool string = (opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf);
  return string ? at + 1 : 0;
}

/// While a thread is single-stepped, pushf stores the trap flag that ptrace set: take it out of the
/// program's sight.
void hide_trap_flag(pid_t tid, const Registers& before, const Registers& after) {
  const std::uint64_t pushed = before[Gpr::rsp] - after[Gpr::rsp];
  const std::uint64_t length = after.rip - before.rip;
  if ((pushed != 8 && pushed != 2) || length < 1 || length > 4) return;
  std::byte code[4];
  if (read_memory(tid, before.rip, std::span(code).first(length)) != length) return;
  if (code[length - 1] != std::byte{0x9c}) return;
  std::uint8_t second = 0;
  const std::uint64_t address = after[Gpr::rsp] + 1;
  if (read_memory(tid, address, std::as_writable_bytes(std::span(&second, 1))) != 1) return;
  second &= static_cast<std::uint8_t>(~1u);
  iovec local{&second, 1};
  iovec remote{reinterpret_cast<void*>(address), 1};
  [[maybe_unused]] const ssize_t written = ::process_vm_writev(tid, &local, 1, &remote, 1, 0);
}

}  // namespace

PassEngine::PassEngine(ControlChannel& channel, PassPlan plan)
    : channel_(channel), spec_(std::move(plan.spec)), probes_(spec_.probes.size()) {
  tasks_.set_names(spec_.first_thread, plan.clones);
  // The landings of the trace take the debug registers behind those of the probes.
  const LandingSet landings = landing_counter().landings();
  landing_counter().start(landings, spec_.units.size(), /*replaying=*/true);
  for (std::size_t i = 0; i < landings.size(); ++i) {
    spec_.units.push_back({landings[i], 1, wire::ProbeKind::execute});
  }
  dr7_ = dr7_of(spec_.units);
  for (const wire::Probe& probe : spec_.probes) {
    watches_memory_ |= probe.kind == wire::ProbeKind::write;
  }
  recorded_writes_ = std::move(plan.kernel_writes);
  write_taken_.resize(recorded_writes_.size() * wire::kMaxProbes);
  for (std::size_t i = 0; i < recorded_writes_.size(); ++i) {
    writes_by_call_[call_key(recorded_writes_[i].thread, recorded_writes_[i].ordinal)].push_back(
        static_cast<std::uint32_t>(i));
  }
  steps_.start(spec_.max_steps);
  if (spec_.heap) {
    for (std::size_t i = 0; i < spec_.heap->functions.size(); ++i) {
      heap_functions_[spec_.heap->functions[i].address] = static_cast<std::uint8_t>(i);
    }
  }
}

// ------------------------------------------------------------------------------- resumes

bool PassEngine::runs_program(const Task& task, Resume resume) const {
  if (resume.request == kSysemu || resume.request == kSysemuSinglestep) return true;
  if (resume.request != PTRACE_CONT && resume.request != PTRACE_SINGLESTEP) return false;
  const auto rip = read_rip(task.real);
  if (!rip || in_rr_page(*rip)) return false;
  return !task.in_syscall || *rip + 2 != task.entry.rip;
}

bool PassEngine::before_resume(pid_t tid, Resume resume) {
  if (over_) return false;
  const ErrnoKeeper keeper;
  Task* task = tasks_.find(tid);
  if (task == nullptr) {
    // rr traces nothing but the replay once it uses SYSEMU.
    if (!tasks_.empty() || resume.request != kSysemu) return false;
    task = &tasks_.add_first(tid);
    channel_.send(wire::TaskStarted{tid, task->thread});
    channel_.flush();  // a pass that reports nothing else may be ended by its deadline
  }
  task->last_resume = resume;
  task->running_program = runs_program(*task, resume);
  if (!task->running_program) {
    task->rr_acted = true;
    if (resume.request == PTRACE_CONT && read_rax(tid) == SYS_exit &&
        in_rr_page(read_rip(tid).value_or(0))) {
      on_task_ending(*task);
    }
    return false;
  }
  on_program_resume(*task);
  arm_task(*task);
  last_run_ = task;
  if (!task->stepping) return false;
  const auto registers = read_registers(tid);
  if (!registers || !step(*task, *registers)) return false;
  run_on(*task);
  return true;
}

void PassEngine::arm_task(Task& task) {
  // Also without probes: a breakpoint behind a repeated instruction may have been left.
  if (dr7_ == 0 && window_task_ != &task) return;
  if (!task.armed) {
    // A new task shows the DR7 of its parent, without having its breakpoints (Linux's copy_thread()
    // leaves thread.ptrace_dr7 as it was copied).
    disarm(task.real);
    task.armed = true;
  }
  if (const int error = arm(task.real, spec_.units, dr7_); error != 0 && error != ESRCH) {
    fail(wire::Failed::Reason::internal,
         std::string("cannot set a debug register: ") + std::strerror(error));
  }
}

void PassEngine::on_program_resume(Task& task) {
  const bool returning = task.in_syscall;
  std::optional<Registers> registers;
  if (returning) {
    const std::uint64_t number = task.entry.orig_rax;
    if (number == SYS_execve || number == SYS_execveat) {
      registers = read_registers(task.real);
      if (registers && (*registers)[Gpr::rax] == 0) tasks_.after_exec(task);
    }
    if (spec_.map_events && is_map_syscall(number)) {
      if (!registers) registers = read_registers(task.real);
      if (registers) {
        report_map_event(task, static_cast<std::int64_t>((*registers)[Gpr::rax]));
      }
    }
  }
  if (watches_memory_) {
    look_for_kernel_changes(task);
    if (returning) look_where_it_wrote(task);
  }
  if (spec_.heap && (!task.space->heap_looked ||
                     (returning && is_map_syscall(task.entry.orig_rax)))) {
    watch_heap(task);
  }
  task.in_syscall = false;
  task.rr_acted = false;
  if (returning && (reached(spec_.end, wire::MarkKind::syscall_exit, task) ||
                    reached(spec_.begin, wire::MarkKind::syscall_exit, task))) {
    if (!registers) registers = read_registers(task.real);
    if (registers) pass_marks(wire::MarkKind::syscall_exit, task, *registers);
  }
  if (end_pending_) {
    if (!registers) registers = read_registers(task.real);
    end_here(task, registers.value_or(Registers{}));
  }
}

void PassEngine::on_task_ending(Task& task) {
  if (task.ended) return;
  // The registers are rr's own by now; what the program had last is known from its system call.
  Registers registers = task.entry;
  if (watches_memory_) look_for_kernel_changes(task);
  for (const auto* mark : {&spec_.end}) {
    const bool by_call = reached(*mark, wire::MarkKind::syscall_exit, task) && task.in_syscall;
    if (by_call || reached(*mark, wire::MarkKind::signal_stop, task)) {
      registers[Gpr::rax] = static_cast<std::uint64_t>(mark->recorded_result);
      end_here(task, registers);
    }
  }
  if (end_pending_) end_here(task, registers);
}

bool PassEngine::resume_again(Task& task) {
  if (task.stepping) {
    const auto registers = read_registers(task.real);
    if (registers && step(task, *registers)) return true;
  }
  return raw_ptrace(task.last_resume.request, task.real, 0, 0) >= 0;
}

bool PassEngine::step(Task& task, const Registers& registers) {
  // An execute probe stops before its instruction: that instruction is stepped twice, but happens
  // once.
  const bool iterates =
      task.step_from.rip == registers.rip && task.step_from[Gpr::rcx] == registers[Gpr::rcx] + 1;
  if (!same_but_resume_flag(task.step_from, registers) || steps_.total() == 0) steps_.add(registers);
  if (spec_.activation && activation_over(registers)) {
    leave_activation();
    set_dr6(task.real, 0);  // rr must not see our step
    const auto signal = static_cast<std::uintptr_t>(task.last_resume.signal);
    task.last_resume.signal = 0;
    return raw_ptrace(task.last_resume.request, task.real, 0, signal) >= 0;
  }
  if (spec_.step_budget != 0 && steps_.total() > spec_.step_budget) {
    fail(wire::Failed::Reason::too_many_hits,
         "more than " + std::to_string(spec_.step_budget) + " instructions in the step window");
  }
  task.step_from = registers;
  const bool emulate =
      task.last_resume.request == kSysemu || task.last_resume.request == kSysemuSinglestep;
  const auto signal = static_cast<std::uintptr_t>(task.last_resume.signal);
  task.last_resume.signal = 0;
  if (task.running_repeat || (iterates && run_repeat(task, registers))) {
    return raw_ptrace(emulate ? kSysemu : static_cast<long>(PTRACE_CONT), task.real, 0, signal) >=
           0;
  }
  return raw_ptrace(emulate ? kSysemuSinglestep : static_cast<long>(PTRACE_SINGLESTEP), task.real,
                    0, signal) >= 0;
}

bool PassEngine::run_repeat(Task& task, const Registers& registers) {
  // A step makes one iteration, at the cost of any instruction. Iterations that hit no probe tell
  // nothing that rcx does not: let them run up to a breakpoint on the instruction after, if a
  // register is free.
  constexpr std::uint64_t worth_it = 16;
  if (registers[Gpr::rcx] < worth_it || spec_.units.size() == wire::kMaxUnits) return false;
  if (rr_steps(task)) return false;
  std::byte code[8] = {};
  const std::size_t got = read_memory(task.real, registers.rip, code);
  const std::size_t length = repeat_length(std::span(code).first(got));
  if (length == 0) return false;
  std::vector<wire::Unit> units = spec_.units;
  units.push_back({registers.rip + length, 1, wire::ProbeKind::execute});
  if (arm(task.real, units, dr7_of(units)) != 0) {
    arm_task(task);
    return false;
  }
  return task.running_repeat = true;
}

void PassEngine::end_repeat(Task& task) {
  if (!task.running_repeat) return;
  task.running_repeat = false;
  arm_task(task);
}

// ------------------------------------------------------------------------------- stops

bool PassEngine::on_stop(pid_t tid, int status) {
  if (over_) return false;
  const ErrnoKeeper keeper;
  Task* task = tasks_.find(tid);
  if (task == nullptr) return false;
  int now = status;
  if (swallow(*task, now)) {
    run_on(*task);
    return true;
  }
  if (now == status) return false;
  queue_status(tid, now);
  return true;
}

void PassEngine::run_on(Task& task) {
  // Waiting here and not through rr's own wait saves it half of the system calls of a hit.
  for (;;) {
    int status = 0;
    const pid_t tid = raw_waitpid(task.real, &status, __WALL);
    if (tid < 0 && errno == EINTR) continue;
    if (tid < 0) return;  // rr will find out
    if (swallow(task, status)) continue;
    queue_status(task.real, status);
    return;
  }
}

bool PassEngine::swallow(Task& task, int& status) {
  if (!WIFSTOPPED(status)) {
    tasks_.end(task);
    return false;
  }
  const int event = status >> 16;
  if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK) {
    on_clone(task);
    return false;
  }
  if (event == PTRACE_EVENT_EXIT) {
    tasks_.end(task);
    return false;
  }
  if (event != 0 || !task.running_program) return false;

  const int signal = WSTOPSIG(status);
  if (signal == SIGTRAP) return on_trap(task, status);
  if (task.stepping) {
    set_dr6(task.real, 0);  // rr must not see our step
    end_repeat(task);
  }
  if (signal == kSyscallStop) {
    if (const auto registers = read_registers(task.real)) {
      on_syscall_entry(task, *registers, false);
    }
  } else {
    on_signal(task, signal);
  }
  return false;
}

void PassEngine::on_clone(Task& task) {
  unsigned long child = 0;
  if (raw_ptrace(PTRACE_GETEVENTMSG, task.real, 0, reinterpret_cast<std::uintptr_t>(&child)) < 0) {
    return;
  }
  const Task* added = tasks_.add_child(task, static_cast<pid_t>(child));
  if (added == nullptr) {
    fail(wire::Failed::Reason::divergence, "the replay made a task that the trace does not have");
  }
  channel_.send(wire::TaskStarted{added->real, added->thread});
  channel_.flush();
}

bool PassEngine::on_trap(Task& task, int& status) {
  const auto dr6 =
      dr7_ == 0 && !task.stepping ? std::optional<std::uint64_t>(0) : read_dr6(task.real);
  if (!dr6) return false;
  const std::uint64_t units = *dr6 & kDr6Units & ((std::uint64_t{1} << spec_.units.size()) - 1);
  bool landing = false;
  if ((*dr6 & landing_counter().status_bits()) != 0) {
    bool stepped = false;
    landing = landing_counter().on_trap(task.real, &stepped) != LandingCounter::Hit::none;
  }
  std::optional<Registers> registers;
  const RrBreakpoint& breakpoint = rr_breakpoint();

  if (task.stepping) {
    registers = read_registers(task.real);
    if (!registers) return false;
    const bool at_rr_breakpoint = units == 0 && breakpoint.set &&
                                  task.step_from.rip == breakpoint.address &&
                                  registers->rip == breakpoint.address + 1;
    bool own_trap = false;
    if (!at_rr_breakpoint && units == 0 && registers->rip == task.step_from.rip + 1) {
      siginfo_t info;
      own_trap = raw_ptrace(PTRACE_GETSIGINFO, task.real, 0,
                            reinterpret_cast<std::uintptr_t>(&info)) < 0 ||
                 info.si_code == SI_KERNEL;  // an int3 of the program's own
    }
    if (!at_rr_breakpoint && !own_trap) {
      hide_trap_flag(task.real, task.step_from, *registers);
      // A step of rr's own: it waits for that stop, and must find nothing else in DR6.
      const bool for_rr = rr_steps(task) && (*dr6 & kDr6Step) != 0;
      if (units != 0) {
        set_dr6(task.real, for_rr ? kDr6Step : 0);
        on_units(task, units, registers);
      }
      if (task.running_repeat && registers->rip != task.step_from.rip) {
        if (units == 0) set_dr6(task.real, 0);  // the breakpoint behind it
        end_repeat(task);
      }
      if (for_rr && landing) landing_counter().shown(task.real);
      if (for_rr) return false;
      return step(task, *registers);
    }
    set_dr6(task.real, 0);
  } else if (units != 0) {
    // A step of rr's own that also hit: rr waits for that stop, and must not see the hit.
    const bool for_rr = (*dr6 & kDr6Step) != 0;
    set_dr6(task.real, for_rr ? kDr6Step : 0);
    on_units(task, units, registers);
    if (for_rr && landing) landing_counter().shown(task.real);
    if (for_rr) return false;
    return resume_again(task);
  }

  if (!registers) registers = read_registers(task.real);
  if (!registers) return false;
  if (!task.stepping && task.space->code_breakpoints.contains(registers->rip - 1)) {
    return on_code_breakpoint(task, *registers, status);
  }
  if (breakpoint.set && registers->rip == breakpoint.address + 1) {
    if (breakpoint.on_syscall) on_syscall_entry(task, *registers, true);
  } else if (!rr_steps(task) || !is_step_stop(task.real)) {
    on_signal(task, SIGTRAP);
  }
  return false;
}

void PassEngine::on_syscall_entry(Task& task, Registers registers, bool by_breakpoint) {
  ++task.syscalls;
  task.in_syscall = true;
  task.rr_acted = false;
  task.entered_by_breakpoint = by_breakpoint;
  Registers about_to = registers;
  if (by_breakpoint) {
    --about_to.rip;
    about_to.orig_rax = registers[Gpr::rax];
    registers.rip = about_to.rip + 2;
    registers.orig_rax = about_to.orig_rax;
    registers[Gpr::rax] = static_cast<std::uint64_t>(-ENOSYS);
  } else {
    about_to.rip -= 2;
    about_to[Gpr::rax] = registers.orig_rax;
  }
  task.entry = registers;
  task.arguments = {registers[Gpr::rdi], registers[Gpr::rsi], registers[Gpr::rdx],
                    registers[Gpr::r10], registers[Gpr::r8],  registers[Gpr::r9]};
  const std::uint64_t number = registers.orig_rax;
  if (spec_.map_events && (number == SYS_exit || number == SYS_exit_group)) {
    report_map_event(task, 0);  // it does not return
  }
  pass_marks(wire::MarkKind::syscall_entry, task, about_to);
}

void PassEngine::on_signal(Task& task, int signal) {
  const bool wanted = reached(spec_.end, wire::MarkKind::signal_stop, task) ||
                      reached(spec_.begin, wire::MarkKind::signal_stop, task);
  if (!wanted) return;
  const auto registers = read_registers(task.real);
  if (!registers) return;
  if (signal == SIGSEGV && is_emulated_instruction(task.real, registers->rip)) return;
  if (is_counter_stop(task.real, signal)) return;
  for (const bool is_end : {false, true}) {
    const auto& mark = is_end ? std::optional<wire::Mark>(spec_.end) : spec_.begin;
    if (!reached(mark, wire::MarkKind::signal_stop, task)) continue;
    if (mark->signal != 0 ? mark->signal != signal : !is_fatal_by_default(signal)) continue;
    if (is_end) end_here(task, *registers);
    begin_window(task);
  }
}

// ------------------------------------------------------------------------------- heap

void PassEngine::watch_heap(Task& task) {
  Space& space = *task.space;
  space.heap_looked = true;
  if (space.heap_abandoned) return;
  for (const wire::HeapFunction& function : spec_.heap->functions) {
    // Also where one was set before: a loader maps a whole file first and its segments over it.
    std::uint64_t code = 0;
    if (read_memory(task.real, function.address, std::as_writable_bytes(std::span(&code, 1))) !=
            sizeof code ||
        code != function.code) {
      continue;
    }
    if (const auto old = poke_byte(task.real, function.address, kInt3)) {
      space.code_breakpoints[function.address] = *old;
      if (!space.heap) space.heap.emplace(spec_.heap->functions);
    }
  }
}

bool PassEngine::on_code_breakpoint(Task& task, Registers registers, int& status) {
  --registers.rip;
  Space& space = *task.space;
  const std::uint64_t address = registers.rip;
  set_rip(task.real, address);
  note_allocator_call(task, registers);

  const auto breakpoint = space.code_breakpoints.find(address);
  if (breakpoint == space.code_breakpoints.end()) return resume_again(task);
  poke_byte(task.real, address, breakpoint->second);
  // A debug register on this instruction has been reported before the int3 ran: not again.
  resume_past_breakpoint(task.real, registers.rflags);
  const bool emulate =
      task.last_resume.request == kSysemu || task.last_resume.request == kSysemuSinglestep;
  if (raw_ptrace(emulate ? kSysemuSinglestep : static_cast<long>(PTRACE_SINGLESTEP), task.real, 0,
                 0) < 0) {
    return false;
  }
  pid_t tid = -1;
  do {
    tid = raw_waitpid(task.real, &status, __WALL);
  } while (tid < 0 && errno == EINTR);
  if (tid < 0 || !WIFSTOPPED(status)) {
    tasks_.end(task);
    return false;
  }
  poke_byte(task.real, address, kInt3);
  // The instruction may have done something of its own: a fault, a system call.
  if (status >> 16 != 0 || WSTOPSIG(status) != SIGTRAP) {
    set_dr6(task.real, 0);
    return swallow(task, status);
  }
  const std::uint64_t dr6 = read_dr6(task.real).value_or(0);
  const std::uint64_t units = dr6 & kDr6Units & ((std::uint64_t{1} << spec_.units.size()) - 1);
  if (units != 0) {
    set_dr6(task.real, rr_steps(task) ? kDr6Step : 0);
    std::optional<Registers> after;
    on_units(task, units, after);
  }
  if (rr_steps(task)) return false;
  set_dr6(task.real, 0);
  return resume_again(task);
}

void PassEngine::note_allocator_call(Task& task, const Registers& registers) {
  Space& space = *task.space;
  if (!space.heap) return;
  AllocationLog& log = *space.heap;
  if (log.returns(task.thread, registers[Gpr::rsp])) {
    std::uint64_t result = registers[Gpr::rax];
    if (const auto slot = log.result_slot(task.thread)) {
      const bool failed = (result & 0xffff'ffff) != 0;  // an int
      if (failed || read_memory(task.real, *slot, std::as_writable_bytes(std::span(&result, 1))) !=
                        sizeof result) {
        result = 0;
      }
    }
    log.on_return(task.thread, result);
  }
  const auto function = heap_functions_.find(registers.rip);
  if (function == heap_functions_.end()) return;
  wire::HeapCall call;
  call.position = position(task);
  call.function = function->second;
  call.registers = registers;
  call.stack.resize(wire::kMaxHeapStack);
  call.stack.resize(read_memory(task.real, registers[Gpr::rsp],
                                std::as_writable_bytes(std::span(call.stack))));
  std::uint64_t caller = 0;
  if (call.stack.size() >= sizeof caller) std::memcpy(&caller, call.stack.data(), sizeof caller);
  if (log.on_entry(std::move(call)) && caller != 0 && !space.code_breakpoints.contains(caller)) {
    if (const auto old = poke_byte(task.real, caller, kInt3)) space.code_breakpoints[caller] = *old;
  }
  if (log.calls() > spec_.heap->max_calls) abandon_heap(task);
}

void PassEngine::abandon_heap(Task& task) {
  Space& space = *task.space;
  for (const auto& [address, byte] : space.code_breakpoints) poke_byte(task.real, address, byte);
  space.code_breakpoints.clear();
  space.heap_abandoned = true;
}

// ------------------------------------------------------------------------------- hits

void PassEngine::on_units(Task& task, std::uint64_t units, std::optional<Registers>& registers) {
  if (spec_.stop_budget != 0 && ++unit_stops_ > spec_.stop_budget) {
    fail(wire::Failed::Reason::too_many_hits,
         "more than " + std::to_string(spec_.stop_budget) + " hits");
  }
  for (std::size_t i = 0; i < spec_.probes.size(); ++i) {
    const wire::Probe& probe = spec_.probes[i];
    if ((probe.units & units) == 0) continue;
    WatchedValue before;
    WatchedValue after;
    if (probe.kind == wire::ProbeKind::write) {
      before = task.space->values[i];
      after = task.space->values[i] = read_value(task, probe);
      task.space->looked = true;
      // Hot slots: decide by the value before anything else is fetched.
      if (probe.filtered && low_bytes(after.value & probe.mask, probe.size) != probe.value &&
          (!probe.thread || *probe.thread == task.thread) &&
          (!probe.process || *probe.process == task.process)) {
        ++probes_[i].raw;
        continue;
      }
    }
    if (!registers) registers = read_registers(task.real);
    if (!registers) return;
    report(i, task, task.process, *registers, before, after, std::nullopt);
  }
  if (end_pending_ && registers) end_here(task, *registers);
}

WatchedValue PassEngine::read_value(const Task& task, const wire::Probe& probe) const {
  WatchedValue result;
  std::uint64_t value = 0;
  result.readable =
      read_memory(task.real, probe.address,
                  std::as_writable_bytes(std::span(&value, 1)).first(probe.size)) == probe.size;
  if (result.readable) result.value = value;
  return result;
}

void PassEngine::read_values(const Task& task,
                             std::array<WatchedValue, wire::kMaxProbes>& out) const {
  // All in one call, as long as all can be read.
  std::array<std::uint64_t, wire::kMaxProbes> values{};
  std::array<iovec, wire::kMaxProbes> local;
  std::array<iovec, wire::kMaxProbes> remote;
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < spec_.probes.size(); ++i) {
    const wire::Probe& probe = spec_.probes[i];
    if (probe.kind != wire::ProbeKind::write) continue;
    local[count] = {&values[i], probe.size};
    remote[count] = {reinterpret_cast<void*>(probe.address), probe.size};
    bytes += probe.size;
    ++count;
  }
  const ssize_t got = ::process_vm_readv(task.real, local.data(), count, remote.data(), count, 0);
  const bool all = got >= 0 && static_cast<std::size_t>(got) == bytes;
  for (std::size_t i = 0; i < spec_.probes.size(); ++i) {
    if (spec_.probes[i].kind != wire::ProbeKind::write) continue;
    out[i] = all ? WatchedValue{values[i], true} : read_value(task, spec_.probes[i]);
  }
}

void PassEngine::look_for_kernel_changes(Task& task) {
  std::array<WatchedValue, wire::kMaxProbes> now{};
  read_values(task, now);
  Space& space = *task.space;
  if (!space.looked) {
    space.values = now;
    space.looked = true;
    return;
  }
  for (std::size_t i = 0; i < spec_.probes.size(); ++i) {
    if (spec_.probes[i].kind != wire::ProbeKind::write) continue;
    const WatchedValue before = space.values[i];
    const bool changed = before.readable != now[i].readable || before.value != now[i].value;
    std::size_t entry = 0;
    // A recorded write of the same bytes is a write too.
    const bool recorded = take_recorded_write(task, space, i, entry);
    if (!changed && !recorded) continue;
    space.values[i] = now[i];
    const KernelChange change = attribute(task, i);
    Registers registers;
    if (change.task == &task) {
      registers = read_registers(task.real).value_or(task.entry);
      if (task.ended || in_rr_page(registers.rip)) registers = task.entry;
    } else {
      registers = presented(*change.task);
    }
    wire::Kernel kernel = change.kernel;
    if (!change.result_known && change.task == &task && kernel.number != wire::kNoSyscall) {
      kernel.result = static_cast<std::int64_t>(registers[Gpr::rax]);
    } else if (!change.result_known && change.task == writing_elsewhere_) {
      const auto returned = read_registers(writing_elsewhere_->real);
      if (returned) kernel.result = static_cast<std::int64_t>((*returned)[Gpr::rax]);
    }
    // Another process may have written: the bytes are in this one.
    report(i, *change.task, task.process, registers, before, now[i], kernel);
  }
}

bool PassEngine::reaches_probe(const Task& task) const {
  const std::uint64_t start = task.arguments[3];
  const std::uint64_t size = task.arguments[2];
  for (const wire::Probe& probe : spec_.probes) {
    if (probe.kind == wire::ProbeKind::write && probe.address >= start &&
        probe.address - start < size) {
      return true;
    }
  }
  return false;
}

void PassEngine::look_where_it_wrote(Task& task) {
  if (task.entry.orig_rax == SYS_pwrite64 && reaches_probe(task)) {
    // rr keeps no record of what a write to /proc/PID/mem changed; the file's offset is the
    // address.
    writing_elsewhere_ = &task;
    for (const auto& other : tasks_.all()) {
      if (!other->ended && other->space != task.space) look_for_kernel_changes(*other);
    }
    writing_elsewhere_ = nullptr;
  }
  const auto found = writes_by_call_.find(call_key(task.thread, task.syscalls));
  if (found == writes_by_call_.end()) return;
  for (const std::uint32_t index : found->second) {
    const wire::KernelWrites::Entry& write = recorded_writes_[index];
    if (write.target == task.thread) continue;
    for (const auto& other : tasks_.all()) {
      if (other->thread == write.target && !other->ended && other->space != task.space) {
        look_for_kernel_changes(*other);
        break;
      }
    }
  }
}

bool PassEngine::take_recorded_write(const Task& writer, const Space& space, std::size_t probe,
                                     std::size_t& entry) const {
  const auto found = writes_by_call_.find(call_key(writer.thread, writer.syscalls));
  if (found == writes_by_call_.end()) return false;
  for (const std::uint32_t index : found->second) {
    const wire::KernelWrites::Entry& write = recorded_writes_[index];
    if (write_taken_[index * wire::kMaxProbes + probe] || (write.probes >> probe & 1) == 0 ||
        write.thread != writer.thread || write.ordinal != writer.syscalls) {
      continue;
    }
    // The memory written may be another process's (process_vm_writev, ptrace).
    bool same = write.target == writer.thread && writer.space.get() == &space;
    for (const auto& task : tasks_.all()) {
      if (same) break;
      same = task->thread == write.target && task->space.get() == &space;
    }
    if (!same) continue;
    entry = index;
    return true;
  }
  return false;
}

PassEngine::KernelChange PassEngine::attribute(Task& task, std::size_t probe) {
  KernelChange change;
  const auto from_call = [&](Task& who, wire::KernelCause cause) {
    change.task = &who;
    change.kernel.cause = cause;
    change.kernel.number = who.entry.orig_rax;
    change.kernel.arguments = who.arguments;
    return change;
  };
  const auto from_record = [&](Task& who, std::size_t index) {
    write_taken_[index * wire::kMaxProbes + probe] = true;
    const wire::KernelWrites::Entry& write = recorded_writes_[index];
    change.task = &who;
    change.kernel.cause = write.cause;
    if (write.cause == wire::KernelCause::signal_frame) {
      change.kernel.number = wire::kNoSyscall;
      change.kernel.arguments[0] = static_cast<std::uint64_t>(write.number);
    } else {
      change.kernel.number = static_cast<std::uint64_t>(write.number);
      change.kernel.arguments = who.arguments;
      if (replaces_pages(change.kernel.number)) change.kernel.cause = wire::KernelCause::remap;
    }
    change.kernel.result = write.result;
    change.result_known = true;
    return change;
  };

  // 1. The resumed task's own system call, by the record, then by what it can do.
  std::size_t index = 0;
  if (take_recorded_write(task, *task.space, probe, index)) return from_record(task, index);
  if (task.in_syscall && replaces_pages(task.entry.orig_rax)) {
    return from_call(task, wire::KernelCause::remap);
  }
  // 2. Another task's, which has returned but has not run since: the earliest of the record.
  Task* writer = nullptr;
  std::size_t earliest = recorded_writes_.size();
  for (const auto& other : tasks_.all()) {
    if (take_recorded_write(*other, *task.space, probe, index) && index < earliest) {
      earliest = index;
      writer = other.get();
    }
  }
  if (writer != nullptr) return from_record(*writer, earliest);
  for (const auto& other : tasks_.all()) {
    if (other->in_syscall && other->rr_acted && other->space == task.space &&
        replaces_pages(other->entry.orig_rax)) {
      return from_call(*other, wire::KernelCause::remap);
    }
  }
  if (writing_elsewhere_ != nullptr)
    return from_call(*writing_elsewhere_, wire::KernelCause::syscall);
  // 3. Memory shared with another process, whose store does not trap here.
  if (last_run_ != nullptr && last_run_->space != task.space) {
    change.task = last_run_;
    change.kernel.cause = wire::KernelCause::unknown;
    change.kernel.number = wire::kNoSyscall;
    return change;
  }
  if (task.in_syscall) return from_call(task, wire::KernelCause::syscall);
  change.task = &task;
  change.kernel.cause = wire::KernelCause::unknown;
  change.kernel.number = wire::kNoSyscall;
  return change;
}

void PassEngine::report(std::size_t probe_index, Task& task, std::int32_t owner,
                        const Registers& registers, const WatchedValue& before,
                        const WatchedValue& after, const std::optional<wire::Kernel>& kernel) {
  const wire::Probe& probe = spec_.probes[probe_index];
  ProbeState& state = probes_[probe_index];
  if (probe.thread && *probe.thread != task.thread) return;
  if (probe.process && *probe.process != owner) return;
  ++state.raw;
  if (probe.filtered &&
      (!after.readable || low_bytes(after.value & probe.mask, probe.size) != probe.value)) {
    return;
  }
  ++state.matches;
  if (spec_.activation) enter_activation(probe_index, task, registers);

  if (probe.report) {
    wire::Hit hit;
    hit.probe = static_cast<std::uint8_t>(probe_index);
    hit.ordinal = state.matches;
    hit.raw_ordinal = state.raw;
    hit.position = position(task);
    hit.registers = registers;
    hit.value_before = before.value;
    hit.before_known = before.readable;
    hit.value_after = after.value;
    hit.kernel = kernel;
    if (probe.keep_last > 0) {
      if (state.kept.size() < probe.keep_last) {
        state.kept.push_back(hit);
      } else {
        state.kept[state.oldest] = hit;
        state.oldest = (state.oldest + 1) % state.kept.size();
      }
    } else {
      if (spec_.max_hits != 0 && ++reported_ > spec_.max_hits) {
        fail(wire::Failed::Reason::too_many_hits,
             "more than " + std::to_string(spec_.max_hits) + " hits");
      }
      hit.live = probe.live;
      channel_.send(hit);
      if (probe.live) {
        serve(task, registers);
      } else if (++unsent_checks_ >= 64) {
        unsent_checks_ = 0;
        look_for_finish();
      }
    }
  }
  const auto is_here = [&](const wire::Mark& mark) {
    return mark.kind == wire::MarkKind::probe_hit && mark.probe == probe_index &&
           mark.ordinal == state.matches;
  };
  if (spec_.begin && is_here(*spec_.begin)) begin_window(task);
  // The other probes that this instruction hit are reported before the pass ends.
  if (is_here(spec_.end)) end_pending_ = true;
}

void PassEngine::report_map_event(Task& task, std::int64_t result) {
  channel_.send(wire::MapEvent{position(task), task.entry.orig_rax, task.arguments, result});
}

// ------------------------------------------------------------------------------- marks

bool PassEngine::reached(const std::optional<wire::Mark>& mark, wire::MarkKind kind,
                         const Task& task) const {
  return mark && mark->kind == kind && mark->thread == task.thread &&
         mark->ordinal == task.syscalls;
}

void PassEngine::begin_window(Task& task) {
  if (window_task_ != nullptr) return;
  window_task_ = &task;
  task.stepping = true;
}

void PassEngine::pass_marks(wire::MarkKind kind, Task& task, const Registers& registers) {
  if (reached(spec_.begin, kind, task)) begin_window(task);
  if (reached(spec_.end, kind, task)) end_here(task, registers);
}

void PassEngine::enter_activation(std::size_t probe, Task& task, const Registers& registers) {
  const wire::ActivationSpec& wanted = *spec_.activation;
  const std::uint64_t sp = registers[Gpr::rsp];
  for (std::size_t i = 0; i < wanted.entries.size(); ++i) {
    if (wanted.entries[i].probe != probe || wanted.entries[i].sp != sp) continue;
    if (window_task_ != nullptr && i < inside_) {
      inside_ = i;
      return;
    }
    // What was taken for the wanted activation, or for its caller's, has ended: here is the next.
    leave_activation();
    if (task.syscalls < wanted.syscalls_from || activation_steps_ >= wanted.budget) return;
    began_at_ = inside_ = i;
    begin_window(task);
    return;
  }
}

bool PassEngine::activation_over(const Registers& registers) {
  const wire::ActivationSpec& wanted = *spec_.activation;
  // A function that has returned has taken its return address off the stack. (Where a task changes
  // stacks, a window may be given up for nothing.)
  while (registers[Gpr::rsp] > wanted.entries[inside_].sp) {
    if (inside_ == began_at_) return true;
    ++inside_;
  }
  if (inside_ != 0 && steps_.total() > wanted.outer_steps) return true;
  return activation_steps_ + steps_.total() > wanted.budget;
}

void PassEngine::leave_activation() {
  if (window_task_ == nullptr) return;
  end_repeat(*window_task_);
  window_task_->stepping = false;
  window_task_ = nullptr;
  activation_steps_ += steps_.total();
  steps_.restart();
}

void PassEngine::end_here(Task& task, const Registers& registers) {
  if (window_task_ != nullptr) {
    window_end_ = window_task_ == &task ? registers : presented(*window_task_);
  }
  send_collected();
  channel_.send(wire::EndReached{position(task), registers});
  serve(task, registers);
  send_results(true);
  leave();
}

// ------------------------------------------------------------------------------- talking

wire::Position PassEngine::position(const Task& task) {
  return {task.thread, task.process, task.syscalls, ++sequence_};
}

Registers PassEngine::presented(const Task& task) const {
  if (task.ended || (task.in_syscall && task.entered_by_breakpoint)) return task.entry;
  return read_registers(task.real).value_or(task.entry);
}

void PassEngine::serve(Task& task, const Registers& registers) {
  channel_.flush();
  while (const auto request = channel_.receive()) {
    if (request->type == wire::Type::go_on) return;
    if (request->type == wire::Type::finish) {
      send_results(true);
      leave();
    }
    if (!answer(*request, task, registers)) {
      fail(wire::Failed::Reason::internal, "a malformed request");
    }
    channel_.flush();
  }
  leave();  // the driver is gone
}

bool PassEngine::answer(const wire::FrameView& request, Task& task, const Registers& registers) {
  switch (request.type) {
    case wire::Type::read_memory: {
      const auto ask = wire::parse_payload<wire::ReadMemory>(request.payload);
      if (!ask || ask->length > wire::kMaxRead) return false;
      wire::Memory reply;
      reply.bytes.resize(ask->length);
      reply.bytes.resize(
          read_memory(task.real, ask->address, std::as_writable_bytes(std::span(reply.bytes))));
      const auto& breakpoints = task.space->code_breakpoints;
      for (auto it = breakpoints.lower_bound(ask->address);
           it != breakpoints.end() && it->first - ask->address < reply.bytes.size(); ++it) {
        reply.bytes[static_cast<std::size_t>(it->first - ask->address)] = it->second;
      }
      channel_.send(reply);
      return true;
    }
    case wire::Type::read_registers: {
      const auto ask = wire::parse_payload<wire::ReadRegisters>(request.payload);
      if (!ask) return false;
      if (ask->thread == task.thread) {
        channel_.send(wire::RegistersReply{registers});
      } else if (const Task* other = tasks_.find_thread(ask->thread)) {
        channel_.send(wire::RegistersReply{presented(*other)});
      } else {
        channel_.send(wire::Refused{"no such thread at this moment"});
      }
      return true;
    }
    case wire::Type::list_threads: {
      wire::ThreadList reply;
      for (const auto& each : tasks_.all()) {
        if (!each->ended) reply.threads.push_back({each->thread, each->process});
      }
      channel_.send(reply);
      return true;
    }
    case wire::Type::find_heap_blocks: {
      const auto ask = wire::parse_payload<wire::FindHeapBlocks>(request.payload);
      if (!ask) return false;
      if (!task.space->heap) {
        channel_.send(wire::Refused{"no allocator was seen in this process"});
        return true;
      }
      wire::HeapBlocks reply = task.space->heap->blocks_at(ask->address, task.thread);
      reply.complete &= !task.space->heap_abandoned;
      channel_.send(reply);
      return true;
    }
    case wire::Type::read_maps: {
      wire::Text reply;
      char path[64];
      std::snprintf(path, sizeof path, "/proc/%d/maps", static_cast<int>(task.real));
      // Raw calls: the interposed ones are rr's.
      const long fd = ::syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
      char buffer[16 * 1024];
      while (fd >= 0 && reply.text.size() < wire::kMaxRead) {
        const long got = ::syscall(SYS_read, fd, buffer, sizeof buffer);
        if (got <= 0) break;
        reply.text.append(buffer, static_cast<std::size_t>(got));
      }
      if (fd >= 0) ::syscall(SYS_close, fd);
      if (reply.text.size() > wire::kMaxRead) reply.text.resize(wire::kMaxRead);
      channel_.send(reply);
      return true;
    }
    default:
      return false;
  }
}

void PassEngine::look_for_finish() {
  if (const auto frame = channel_.poll()) {
    if (frame->type != wire::Type::finish) {
      fail(wire::Failed::Reason::internal, "a request while the replay runs");
    }
    send_results(true);
    leave();
  }
  if (!channel_.good()) leave();
}

void PassEngine::send_collected() {
  if (collected_sent_) return;
  collected_sent_ = true;
  // Of a caller alone nothing was asked.
  if (spec_.activation && inside_ != 0) leave_activation();
  if (window_task_ != nullptr) {
    if (!window_end_) window_end_ = presented(*window_task_);
    channel_.send(
        wire::StepInfo{window_task_->thread, steps_.total(), steps_.kept(), *window_end_});
    for (const StepRecorder::Chunk& chunk : steps_.chunks()) {
      channel_.send(wire::StepChunk{chunk.count, chunk.bytes});
    }
  }
  std::vector<const wire::Hit*> kept;
  for (const ProbeState& state : probes_) {
    for (const wire::Hit& hit : state.kept) kept.push_back(&hit);
  }
  std::sort(kept.begin(), kept.end(), [](const wire::Hit* a, const wire::Hit* b) {
    return a->position.sequence < b->position.sequence;
  });
  for (const wire::Hit* hit : kept) channel_.send(*hit);
}

void PassEngine::send_results(bool end_reached) {
  send_collected();
  wire::Done done;
  done.end_reached = end_reached;
  for (const ProbeState& state : probes_) done.counters.push_back({state.matches, state.raw});
  for (const auto& task : tasks_.all()) {
    if (done.threads.size() == wire::kTableChunk) break;
    done.threads.push_back({task->thread, task->syscalls});
  }
  channel_.send(done);
  channel_.flush();
}

void PassEngine::trace_ended() {
  if (over_) return;
  over_ = true;
  send_results(spec_.end.kind == wire::MarkKind::end);
}

void PassEngine::fail(wire::Failed::Reason reason, const std::string& message) {
  channel_.send(wire::Failed{reason, message});
  channel_.flush();
  leave();
}

void PassEngine::leave() {
  over_ = true;
  for (const auto& task : tasks_.all()) {
    // Each one: rr replays the threads of a process as processes that share their memory.
    if (!task->ended) ::kill(task->real, SIGKILL);
  }
  // Reap them, so that nothing of the replay outlives rr. Bounded: the kernel kills what is left
  // when rr goes (PTRACE_O_EXITKILL, which rr sets).
  for (int i = 0; i < 4000; ++i) {
    int status = 0;
    const pid_t tid = raw_waitpid(-1, &status, __WALL | WNOHANG);
    if (tid < 0 && errno == ECHILD) break;
    if (tid == 0) ::usleep(250);
    if (tid > 0 && WIFSTOPPED(status)) raw_ptrace(PTRACE_CONT, tid, 0, 0);
  }
  ::_exit(0);
}

}  // namespace culprit::agent
