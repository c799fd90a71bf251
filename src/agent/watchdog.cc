#include "agent/watchdog.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>
#include <atomic>

#include "agent/kernel.h"
#include "agent/report.h"

namespace culprit::agent {
namespace {

constexpr std::int64_t millisecond = 1'000'000;

// rr lets one task run user code at a time; a few more slots cost nothing.
struct RunningSlot {
  std::atomic<pid_t> tid{0};
  std::atomic<std::int64_t> since{0};
  std::atomic<std::int64_t> held_since{0};
  std::atomic<int> held_signal{0};
  std::atomic<unsigned> looks{0};       ///< looks asked for since `since`
  std::atomic<bool> look_asked{false};  ///< and the last one is not taken yet
};
constexpr std::size_t max_running = 8;
RunningSlot g_running[max_running];

constexpr std::size_t max_tasks = 8192;
std::atomic<pid_t> g_tasks[max_tasks];
std::atomic<std::size_t> g_task_count{0};  ///< slots ever used

WatchdogLimits g_limits;

std::int64_t now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

RunningSlot* find_running(pid_t tid) {
  for (RunningSlot& slot : g_running) {
    if (slot.tid.load(std::memory_order_relaxed) == tid) return &slot;
  }
  return nullptr;
}

/// The first bytes of a small file of /proc, NUL-terminated.
bool read_proc(pid_t tid, const char* name, char* buffer, std::size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", tid, name);
  const long fd = kernel_call(SYS_openat, AT_FDCWD, to_register(&path[0]), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const long n = kernel_call(SYS_read, fd, to_register(buffer), static_cast<long>(size) - 1);
  kernel_call(SYS_close, fd);
  if (n <= 0) return false;
  buffer[n] = '\0';
  return true;
}

/// The state letter of proc(5), '\0' if there is no such task.
char task_state(pid_t tid) {
  char text[512];
  if (!read_proc(tid, "stat", text, sizeof text)) return '\0';
  // The name may hold any character, so look from its end.
  const char* name_end = strrchr(text, ')');
  return name_end != nullptr && name_end[1] == ' ' ? name_end[2] : '\0';
}

/// CPU time used by the task in ns, -1 if unknown.
std::int64_t cpu_time(pid_t tid) {
  char text[128];
  long long run = 0;
  if (!read_proc(tid, "schedstat", text, sizeof text)) return -1;
  return sscanf(text, "%lld", &run) == 1 ? run : -1;
}

/// Is another task in a ptrace stop, so that rr could let it run?
pid_t find_runnable_other(pid_t running) {
  const std::size_t count = g_task_count.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < count; ++i) {
    const pid_t tid = g_tasks[i].load(std::memory_order_relaxed);
    if (tid != 0 && tid != running && task_state(tid) == 't') return tid;
  }
  return 0;
}

/// What the watchdog knows of one stretch of user code.
struct Stretch {
  pid_t tid = 0;
  std::int64_t since = 0;
  std::int64_t cpu_at_first_look = -1;
  std::int64_t first_look = 0;
  std::int64_t last_asked = 0;  ///< when the last look was asked for
};

/// The number of the look after which nothing more is tried.
constexpr unsigned last_look = 2;

[[noreturn]] void refuse_for(const RunningSlot& slot, pid_t tid, Refusal kind) {
  const std::int64_t time = now();
  const std::int64_t held_since = slot.held_since.load(std::memory_order_relaxed);
  char why[512];
  if (held_since != 0) {
    const int number = slot.held_signal.load(std::memory_order_relaxed);
    const char* abbreviation = sigabbrev_np(number);
    char name[32];
    if (abbreviation != nullptr) {
      snprintf(name, sizeof name, "SIG%s", abbreviation);
    } else {
      snprintf(name, sizeof name, "signal %d", number);
    }
    snprintf(why, sizeof why,
             "%s reached thread %d while it computes without system calls, and has waited for %lld "
             "ms; without hardware counters it cannot be replayed at that place",
             name, tid, static_cast<long long>((time - held_since) / millisecond));
  } else {
    const std::int64_t since = slot.since.load(std::memory_order_relaxed);
    snprintf(
        why, sizeof why,
        "thread %d computes or spins for more than %lld ms without system calls while thread %d "
        "could run; without hardware counters threads are switched at system calls only",
        tid, static_cast<long long>((time - since) / millisecond), find_runnable_other(tid));
  }
  refuse(kind, why, kill_known_tasks);
}

void examine(RunningSlot& slot, Stretch& stretch, std::int64_t time) {
  const pid_t tid = slot.tid.load(std::memory_order_acquire);
  const std::int64_t since = slot.since.load(std::memory_order_relaxed);
  if (tid == 0 || since == 0) return;
  if (stretch.tid != tid || stretch.since != since) {
    stretch = Stretch{tid, since, cpu_time(tid), time};
    return;
  }
  const std::int64_t cpu_now = cpu_time(tid);
  const bool cpu_known = cpu_now >= 0 && stretch.cpu_at_first_look >= 0;
  const std::int64_t used = cpu_known ? cpu_now - stretch.cpu_at_first_look : 0;
  const auto over = [&](std::int64_t began, std::uint32_t limit_ms) {
    const std::int64_t limit = static_cast<std::int64_t>(limit_ms) * millisecond;
    if (time - began <= limit) return false;
    // Long past the limit the task may as well be blocked; nothing good will come.
    return !cpu_known || used >= limit / 4 || time - began > 10 * limit;
  };
  // The tracer may have moved on while we looked.
  const auto still = [&] {
    return slot.tid.load(std::memory_order_acquire) == tid &&
           slot.since.load(std::memory_order_relaxed) == since;
  };
  const auto ask_for_look = [&](unsigned number) {
    if (!still()) return;
    slot.looks.store(number, std::memory_order_relaxed);
    slot.look_asked.store(true, std::memory_order_release);
    kernel_call(SYS_tkill, tid, SIGSTKFLT);
  };
  const std::int64_t held_since = slot.held_since.load(std::memory_order_relaxed);
  const auto waited_for = [&] { return held_since != 0 || find_runnable_other(tid) != 0; };
  const unsigned looks = slot.looks.load(std::memory_order_relaxed);
  if (looks == 0 && g_limits.learn_ms != 0 &&
      over(held_since != 0 ? held_since : since, g_limits.learn_ms) && waited_for()) {
    ask_for_look(1);
    return;
  }
  const bool held_over = held_since != 0 && over(held_since, g_limits.hold_ms);
  if (!held_over && !over(since, g_limits.starve_ms)) return;
  if (!held_over && find_runnable_other(tid) == 0) return;
  if (!still()) return;
  if (looks < last_look) {
    ask_for_look(last_look);
    stretch.last_asked = time;
  } else if (time - stretch.last_asked > 1900 * millisecond) {
    refuse_for(slot, tid, held_over ? Refusal::hold : Refusal::starve);
  }
}

void* watch(void*) {
  Stretch stretches[max_running];
  const std::int64_t shortest =
      static_cast<std::int64_t>(
          std::min({g_limits.hold_ms, g_limits.starve_ms,
                    g_limits.learn_ms != 0 ? g_limits.learn_ms : g_limits.starve_ms})) *
      millisecond;
  const std::int64_t interval = std::clamp(shortest / 10, 10 * millisecond, 200 * millisecond);
  const timespec pause{0, interval};
  for (;;) {
    kernel_call(SYS_nanosleep, to_register(&pause));
    const std::int64_t time = now();
    for (std::size_t i = 0; i < max_running; ++i) examine(g_running[i], stretches[i], time);
  }
  return nullptr;
}

}  // namespace

void start_watchdog(WatchdogLimits limits) {
  g_limits = limits;
  sigset_t all;
  sigset_t old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, watch, nullptr);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  // Without the watchdog a recording might hang: better none at all.
  if (error != 0) refuse(Refusal::other, "cannot start the watchdog thread", nullptr);
}

void watch_running(pid_t tid) {
  RunningSlot* slot = find_running(tid);
  if (slot == nullptr) slot = find_running(0);
  if (slot == nullptr) slot = &g_running[0];
  slot->held_since.store(0, std::memory_order_relaxed);
  slot->looks.store(0, std::memory_order_relaxed);
  slot->look_asked.store(false, std::memory_order_relaxed);
  slot->since.store(now(), std::memory_order_relaxed);
  slot->tid.store(tid, std::memory_order_release);
}

void watch_held(pid_t tid, int signal) {
  RunningSlot* slot = find_running(tid);
  if (slot == nullptr || slot->held_since.load(std::memory_order_relaxed) != 0) return;
  slot->held_signal.store(signal, std::memory_order_relaxed);
  slot->held_since.store(now(), std::memory_order_relaxed);
}

bool watch_take_look(pid_t tid) {
  RunningSlot* slot = find_running(tid);
  return slot != nullptr && slot->look_asked.exchange(false);
}

bool watch_last_look(pid_t tid) {
  const RunningSlot* slot = find_running(tid);
  return slot != nullptr && slot->looks.load(std::memory_order_relaxed) >= last_look;
}

void watch_refuse(pid_t tid, Refusal kind) {
  const RunningSlot* slot = find_running(tid);
  refuse_for(slot != nullptr ? *slot : g_running[0], tid, kind);
}

void watch_stopped(pid_t tid) {
  if (RunningSlot* slot = find_running(tid); slot != nullptr) {
    slot->since.store(0, std::memory_order_relaxed);
    slot->tid.store(0, std::memory_order_release);
  }
}

void watch_add_task(pid_t tid) {
  const std::size_t count = g_task_count.load(std::memory_order_relaxed);
  std::size_t free = count;
  for (std::size_t i = 0; i < count; ++i) {
    const pid_t there = g_tasks[i].load(std::memory_order_relaxed);
    if (there == tid) return;
    if (there == 0 && free == count) free = i;
  }
  if (free >= max_tasks)
    refuse(Refusal::other, "more than 8192 threads at a time", kill_known_tasks);
  g_tasks[free].store(tid, std::memory_order_relaxed);
  if (free == count) g_task_count.store(count + 1, std::memory_order_release);
}

void watch_remove_task(pid_t tid) {
  const std::size_t count = g_task_count.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < count; ++i) {
    if (g_tasks[i].load(std::memory_order_relaxed) == tid) g_tasks[i].store(0);
  }
}

void kill_known_tasks() {
  const std::size_t count = g_task_count.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < count; ++i) {
    const pid_t tid = g_tasks[i].load(std::memory_order_relaxed);
    if (tid != 0) kernel_call(SYS_kill, tid, SIGKILL);
  }
}

}  // namespace culprit::agent
