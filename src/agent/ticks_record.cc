#include "agent/ticks_record.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "agent/kernel.h"
#include "agent/landing_counter.h"
#include "agent/report.h"
#include "agent/spin_look.h"
#include "agent/test_unsound.h"
#include "agent/watchdog.h"

namespace culprit::agent {
namespace {

/// rr's time-slice signal (PerfCounters::TIME_SLICE_SIGNAL, SIGSTKFLT in all versions to date).
constexpr int time_slice_signal = SIGSTKFLT;

/// A time slice ends at a landing's so many-th execution since the task's last event. Few, since
/// the task waits for another one: each costs a stop here, and two of rr's in a replay.
constexpr std::uint64_t executions_per_slice = 8;

/// So many executions in one recording take some six seconds and are not a wait.
constexpr std::uint64_t most_executions = 150'000;

std::uint64_t bit(int signal) {
  return signal >= 1 && signal <= 64 ? std::uint64_t{1} << (signal - 1) : 0;
}

/// The signals in one of a task's two queues (ptrace(2), PTRACE_PEEKSIGINFO).
std::uint64_t peek_queue(pid_t tid, std::uint32_t flags) {
  constexpr std::int32_t batch = 8;
  siginfo_t infos[batch];
  std::uint64_t signals = 0;
  __ptrace_peeksiginfo_args arguments{};
  arguments.flags = flags;
  arguments.nr = batch;
  // Bounded: behind so many queued signals a missed one is only held, which is always safe.
  for (int round = 0; round < 64; ++round) {
    const long n = raw_ptrace(PTRACE_PEEKSIGINFO, tid, reinterpret_cast<std::uintptr_t>(&arguments),
                              reinterpret_cast<std::uintptr_t>(&infos[0]));
    for (long i = 0; i < n; ++i) signals |= bit(infos[i].si_signo);
    if (n < batch) break;
    arguments.off += static_cast<std::uint64_t>(n);
  }
  return signals;
}

bool get_registers(pid_t tid, user_regs_struct* out) {
  return raw_ptrace(PTRACE_GETREGS, tid, 0, reinterpret_cast<std::uintptr_t>(out)) >= 0;
}

/// The thread group of a task, 0 if it is gone.
pid_t thread_group(pid_t tid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/status", tid);
  const long fd = kernel_call(SYS_openat, AT_FDCWD, to_register(&path[0]), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[1024];
  const long n = kernel_call(SYS_read, fd, to_register(&text[0]), sizeof text - 1);
  kernel_call(SYS_close, fd);
  if (n <= 0) return 0;
  text[n] = '\0';
  const char* line = strstr(text, "\nTgid:");
  int group = 0;
  return line != nullptr && sscanf(line, "\nTgid: %d", &group) == 1 ? group : 0;
}

}  // namespace

RecordFilter::RecordFilter(bool learns) : learns_(learns) {
  // Unpredictable, so that the recorded program's own sigqueue values do not look like ours.
  if (getrandom(&next_cookie_, sizeof next_cookie_, GRND_NONBLOCK) != sizeof next_cookie_) {
    next_cookie_ = static_cast<std::uintptr_t>(getpid()) << 32;
  }
}

void RecordFilter::on_counting(pid_t tid, bool counting) {
  const auto found = tasks_.find(tid);
  if (found != tasks_.end()) {
    found->second.counting = counting;
  } else if (counting) {
    tasks_[tid];
    watch_add_task(tid);
  }
}

bool RecordFilter::before_resume(pid_t tid, Resume resume) {
  const auto found = tasks_.find(tid);
  if (found == tasks_.end()) return false;
  Task& task = found->second;
  task.last = resume;
  task.running = true;
  task.pending_thread = 0;
  task.pending_process = 0;
  task.registers_known = false;
  if (!task.counting) return false;
  if (landing_counter().active() && !landing_counter().arm(tid)) {
    refuse(Refusal::other, "the kernel does not let debug registers be set", kill_known_tasks);
  }
  note_pending(tid, task);
  watch_running(tid);
  return false;
}

bool RecordFilter::on_interrupt(pid_t tid) {
  const auto found = tasks_.find(tid);
  if (found == tasks_.end() || !found->second.running || !found->second.counting) return false;
  ++g_statistics.interrupts;
  return true;
}

void RecordFilter::note_pending(pid_t tid, Task& task) {
  task.pending_thread = peek_queue(tid, 0);
  task.pending_process = peek_queue(tid, PTRACE_PEEKSIGINFO_SHARED);
  // With a signal to deliver the registers change (the handler's frame) with nothing executed, so
  // they prove nothing.
  task.registers_known = task.last.signal == 0 && get_registers(tid, &task.registers);
  if (!task.registers_known) task.pending_process = 0;
}

bool RecordFilter::may_land(pid_t tid, const Task& task, int signal) const {
  if (test_unsound) return true;
  if ((task.pending_thread & bit(signal)) != 0) return true;
  if ((task.pending_process & bit(signal)) == 0) return false;
  user_regs_struct here;
  return get_registers(tid, &here) && memcmp(&here, &task.registers, sizeof here) == 0;
}

bool RecordFilter::on_stop(pid_t tid, int status) {
  const auto found = tasks_.find(tid);
  if (found == tasks_.end()) return false;
  Task& task = found->second;
  if (!WIFSTOPPED(status)) {
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (task.running && task.counting && !task.exiting && WIFSIGNALED(status) &&
          WTERMSIG(status) == SIGKILL) {
        ++g_statistics.killed;
      }
      forget(tid);
    }
    return false;
  }
  const int signal = WSTOPSIG(status);
  const int event = status >> 16;
  if (signal == (SIGTRAP | 0x80) || event == PTRACE_EVENT_SECCOMP) {
    release(tid, task);
  } else if (event == PTRACE_EVENT_STOP) {
    // An interrupt, or a job-control stop of the whole process. A task that blocks in a system call
    // does not count, and shows it to rr.
    if (task.running && task.counting) {
      ++g_statistics.interrupts;
      swallow(tid, task);
      return true;
    }
  } else if (event == PTRACE_EVENT_EXIT) {
    // Not out of a system call: only SIGKILL does this to a running task. rr notes the registers as
    // an event of its own (SCHED), which a replay could only search for; those of the last event
    // that it saw are found at once.
    unsigned long exit_status = 0;
    if (task.running && task.counting &&
        raw_ptrace(PTRACE_GETEVENTMSG, tid, 0, reinterpret_cast<std::uintptr_t>(&exit_status)) >=
            0 &&
        (exit_status & 0x7f) == SIGKILL) {
      ++g_statistics.killed;
      if (task.registers_known) {
        landing_counter().reset(tid);  // nothing was executed, as far as rr is told
        raw_ptrace(PTRACE_SETREGS, tid, 0, reinterpret_cast<std::uintptr_t>(&task.registers));
      }
    }
    task.exiting = true;
  } else if (event == 0 &&
             ((signal == SIGTRAP && on_landing(tid, task)) || on_signal(tid, task, signal))) {
    return true;
  }
  task.running = false;
  watch_stopped(tid);
  return false;
}

bool RecordFilter::on_signal(pid_t tid, Task& task, int signal) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  if (raw_ptrace(PTRACE_GETSIGINFO, tid, 0, reinterpret_cast<std::uintptr_t>(&info)) < 0) {
    return false;
  }
  if (is_synchronous(info)) return false;
  if (info.si_code == SI_QUEUE) {
    const auto cookie = reinterpret_cast<std::uintptr_t>(info.si_value.sival_ptr);
    const auto sent = std::find_if(task.sent.begin(), task.sent.end(),
                                   [&](const Sent& s) { return s.cookie == cookie; });
    if (sent != task.sent.end() && sent->info.si_signo == signal) {
      info = sent->info;
      raw_ptrace(PTRACE_SETSIGINFO, tid, 0, reinterpret_cast<std::uintptr_t>(&info));
      task.sent.erase(sent);
      ++g_statistics.released;
    }
  }
  if (!task.counting || task.last.request == 0) {
    if (signal == time_slice_signal && info.si_code == SI_TKILL && info.si_pid == getpid()) {
      // The watchdog's call for a look has met a system call, which it has interrupted.
      refuse(Refusal::starve, "a system call began just as the thread was to be looked at",
             kill_known_tasks);
    }
    return false;
  }
  if (signal == time_slice_signal && (info.si_code > 0 || info.si_pid == getpid())) {
    if (watch_take_look(tid)) {
      look_at_loop(tid, task);
    } else {
      ++g_statistics.dropped;
      swallow(tid, task);
    }
    return true;
  }
  if (may_land(tid, task, signal)) return false;
  switch (task.held.add(info)) {
    case HeldSignals::Added::full: {
      char why[256];
      snprintf(why, sizeof why,
               "more than %zu real-time signals reached thread %d while it computes without system "
               "calls",
               HeldSignals::limit, tid);
      refuse(Refusal::hold, why, kill_known_tasks);
    }
    case HeldSignals::Added::queued:
      ++g_statistics.held;
      break;
    case HeldSignals::Added::coalesced:
      break;
  }
  watch_held(tid, signal);
  swallow(tid, task);
  return true;
}

bool RecordFilter::on_landing(pid_t tid, Task& task) {
  if (!landing_counter().active() || !task.running || !task.counting) return false;
  bool stepped = false;
  const LandingCounter::Hit hit = landing_counter().on_trap(tid, &stepped);
  if (hit == LandingCounter::Hit::none) return false;
  if (stepped) {  // the end of a step of rr's, which it waits for
    landing_counter().shown(tid);
    return false;
  }
  if (hit == LandingCounter::Hit::counted) {
    if (++landing_executions_ > most_executions) {
      char why[256];
      snprintf(
          why, sizeof why,
          "a thread (%d) waits in a loop that is also executed for other purposes, too often to "
          "be counted",
          tid);
      refuse(Refusal::hot, why, kill_known_tasks);
    }
    if (!task.held.empty() || landing_counter().ticks(tid) >= executions_per_slice) {
      land(tid, task);
      return true;
    }
  }
  swallow(tid, task);
  return true;
}

void RecordFilter::land(pid_t tid, Task& task) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  if (!task.held.empty()) {
    info = task.held.take_first();
    ++g_statistics.released;
  } else {
    // As the kernel would send it for a counter that has come to the end of its period; rr checks
    // number and code (RecordSession.cc, handle_signal_event).
    info.si_signo = time_slice_signal;
    info.si_code = POLL_IN;
  }
  ++g_statistics.landed;
  raw_ptrace(PTRACE_SETSIGINFO, tid, 0, reinterpret_cast<std::uintptr_t>(&info));
  landing_counter().shown(tid);
  task.running = false;
  watch_stopped(tid);
  queue_status(tid, info.si_signo << 8 | 0x7f);
}

void RecordFilter::look_at_loop(pid_t tid, Task& task) {
  const bool urgent = watch_last_look(tid);
  task.pending_thread = 0;
  task.pending_process = 0;
  const SpinLook look = look_at_spin(tid, urgent && learns_, task.held);
  report_place(tid, look.address);
  if (learns_ && look.landing != 0 && !landing_counter().landings().contains(look.landing) &&
      (look.kind == SpinLook::Kind::waits || urgent)) {
    if (landing_counter().landings().size() == max_landings) {
      refuse(Refusal::starve, "threads wait in more than four loops without system calls",
             kill_known_tasks);
    }
    char text[256];
    snprintf(text, sizeof text, "landing %llx", static_cast<unsigned long long>(look.landing));
    report_line(text);
    watch_refuse(tid, Refusal::learn);
  }
  if (urgent) watch_refuse(tid, task.held.empty() ? Refusal::starve : Refusal::hold);
  if (look.resumed) return;
  swallow(tid, task);
}

void RecordFilter::swallow(pid_t tid, Task& task) {
  // User code may have run since rr resumed the task: from now on nothing may land in this stretch.
  task.pending_thread = 0;
  task.pending_process = 0;
  // ESRCH: killed meanwhile; the wait goes on and gets its end.
  raw_ptrace(task.last.request, tid, 0, 0);
}

void RecordFilter::release(pid_t tid, Task& task) {
  if (task.held.empty()) return;
  if (task.group == 0) task.group = thread_group(tid);
  user_regs_struct registers{};
  const bool leaving = get_registers(tid, &registers) && registers.orig_rax == SYS_exit;
  for (const siginfo_t& info : task.held.all()) {
    Sent sent;
    sent.cookie = next_cookie_++;
    sent.info = info;
    siginfo_t carrier;
    memset(&carrier, 0, sizeof carrier);
    carrier.si_signo = info.si_signo;
    carrier.si_code = SI_QUEUE;
    carrier.si_pid = getpid();
    carrier.si_uid = getuid();
    carrier.si_value.sival_ptr = reinterpret_cast<void*>(sent.cookie);
    // What was sent to the process must not vanish with a thread that is about to exit.
    const bool to_process = leaving && info.si_code != SI_TKILL;
    const long error = to_process ? kernel_call(SYS_rt_sigqueueinfo, task.group, info.si_signo,
                                                to_register(&carrier))
                                  : kernel_call(SYS_rt_tgsigqueueinfo, task.group, tid,
                                                info.si_signo, to_register(&carrier));
    if (error == -EAGAIN && info.si_signo >= SIGRTMIN) {
      refuse(Refusal::other, "the kernel's queue of real-time signals is full", kill_known_tasks);
    }
    if (error != 0) continue;  // the task is dying
    // A standard signal that was pending already has swallowed ours, then the older entry is dead.
    if (info.si_signo < SIGRTMIN) {
      std::erase_if(task.sent, [&](const Sent& s) { return s.info.si_signo == info.si_signo; });
    }
    if (!to_process) task.sent.push_back(sent);
  }
  task.held.clear();
}

void RecordFilter::forget(pid_t tid) {
  landing_counter().forget(tid);
  watch_stopped(tid);
  watch_remove_task(tid);
  tasks_.erase(tid);
  report_statistics();
}

}  // namespace culprit::agent
