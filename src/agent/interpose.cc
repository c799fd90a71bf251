// The libc functions that rr calls, as rr gets them. Loaded into rr's supervisor with LD_PRELOAD;
// agent.map lists the names that are visible outside.
//
// rr traces from one thread; its other threads compress and decompress the trace and only read and
// close files. So the waits and ptrace need no lock.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <optional>

#include "agent/exact_ticks.h"
#include "agent/kernel.h"
#include "agent/maps_text.h"
#include "agent/perf_counters.h"
#include "agent/tracee_filter.h"
#include "agent/wait_queue.h"

namespace culprit::agent {
namespace {

TraceeFilter* g_filter = nullptr;

WaitQueue& wait_queue() {
  // Never destroyed: rr may wait until its very end.
  static WaitQueue* queue = new WaitQueue;
  return *queue;
}

/// PTRACE_SYSEMU and PTRACE_SYSEMU_SINGLESTEP (linux/ptrace.h; glibc names them differently in
/// different versions).
constexpr long ptrace_sysemu = 31;
constexpr long ptrace_sysemu_singlestep = 32;

bool is_resume(long request) {
  switch (request) {
    case PTRACE_CONT:
    case PTRACE_SYSCALL:
    case PTRACE_SINGLESTEP:
    case ptrace_sysemu:
    case ptrace_sysemu_singlestep:
      return true;
    default:
      return false;
  }
}

/// One wait as rr means it.
struct Wait {
  pid_t tid = -1;
  int options = 0;
};

struct Waited {
  pid_t tid = 0;  ///< 0: nothing yet (WNOHANG); -1: errno is set
  int status = 0;
};

void sleep_milliseconds(long ms) {
  const timespec pause{ms / 1000, (ms % 1000) * 1'000'000};
  kernel_call(SYS_nanosleep, to_register(&pause));
}

/// Waits until there is a status that rr may see. It has been taken from the kernel; `keep` leaves it
/// to be found by the next wait (WNOWAIT).
Waited filtered_wait(Wait wait, bool keep) {
  const bool may_block = (wait.options & WNOHANG) == 0;
  long waited_ms = 0;
  for (;;) {
    if (const auto entry = wait_queue().take(wait.tid, keep)) return {entry->tid, entry->status};
    // A filter that asks to be called again gets a wait in small steps.
    const int again_ms = may_block && g_filter != nullptr ? g_filter->before_wait(wait.tid) : 0;
    if (const auto entry = wait_queue().take(wait.tid, keep)) return {entry->tid, entry->status};
    int status = 0;
    const int options = wait.options | (again_ms > 0 ? WNOHANG : 0);
    const pid_t tid = raw_waitpid(wait.tid, &status, options);
    if (tid < 0) return {-1, 0};
    if (tid == 0) {
      if (!may_block) return {0, 0};
      const long step = waited_ms < 5 ? 1 : 5;
      sleep_milliseconds(step);
      waited_ms += step;
      continue;
    }
    waited_ms = 0;
    if (g_filter != nullptr && g_filter->on_stop(tid, status)) continue;
    if (keep) wait_queue().push(tid, status);
    return {tid, status};
  }
}

/// The siginfo of waitid(2) for a status of waitpid(2).
void fill_siginfo(const Waited& waited, siginfo_t* info) {
  if (info == nullptr) return;
  info->si_signo = SIGCHLD;
  info->si_errno = 0;
  info->si_pid = waited.tid;
  info->si_uid = getuid();
  const int status = waited.status;
  if (WIFEXITED(status)) {
    info->si_code = CLD_EXITED;
    info->si_status = WEXITSTATUS(status);
  } else if (WIFSIGNALED(status)) {
    info->si_code = WCOREDUMP(status) ? CLD_DUMPED : CLD_KILLED;
    info->si_status = WTERMSIG(status);
  } else if (WIFCONTINUED(status)) {
    info->si_code = CLD_CONTINUED;
    info->si_status = SIGCONT;
  } else {
    // A ptrace stop: the signal and, above it, the event.
    info->si_code = CLD_TRAPPED;
    info->si_status = status >> 8;
  }
}

void counting_changed(const CounterChange& change) {
  exact_ticks().on_counting(change.tid, change.counting);
  if (g_filter != nullptr) g_filter->on_counting(change.tid, change.counting);
}

using OpenFunction = FILE* (*)(const char*, const char*);

FILE* real_fopen(const char* path, const char* mode) {
  static const auto function = reinterpret_cast<OpenFunction>(dlsym(RTLD_NEXT, "fopen"));
  return function(path, mode);
}

bool is_maps_file(const char* path) {
  const size_t length = strlen(path);
  return length > 11 && strncmp(path, "/proc/", 6) == 0 && strcmp(path + length - 5, "/maps") == 0;
}

/// A /proc/PID/maps with the vvar lines merged; null if anything fails.
FILE* open_maps(const char* path) {
  const long fd = kernel_call(SYS_openat, AT_FDCWD, to_register(path), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    errno = static_cast<int>(-fd);
    return nullptr;
  }
  size_t capacity = size_t{1} << 16;
  size_t length = 0;
  char* text = static_cast<char*>(malloc(capacity));
  long n = 0;
  while (text != nullptr) {
    if (length == capacity) {
      capacity *= 2;
      char* larger = static_cast<char*>(realloc(text, capacity));
      if (larger == nullptr) free(text);
      text = larger;
      continue;
    }
    n = kernel_call(SYS_read, fd, to_register(text + length), static_cast<long>(capacity - length));
    if (n == -EINTR) continue;
    if (n <= 0) break;
    length += static_cast<size_t>(n);
  }
  kernel_call(SYS_close, fd);
  if (text == nullptr || n < 0) {
    free(text);
    errno = text == nullptr ? ENOMEM : static_cast<int>(-n);
    return nullptr;
  }
  length = merge_vvar_lines(text, length);
  FILE* file = nullptr;
  const int memory = static_cast<int>(
      kernel_call(SYS_memfd_create, to_register("maps"), MFD_CLOEXEC));
  if (memory >= 0) {
    size_t written = 0;
    while (written < length) {
      const long w = kernel_call(SYS_write, memory, to_register(text + written),
                                 static_cast<long>(length - written));
      if (w <= 0) break;
      written += static_cast<size_t>(w);
    }
    kernel_call(SYS_lseek, memory, 0, SEEK_SET);
    if (written == length) file = fdopen(memory, "r");
    if (file == nullptr) kernel_call(SYS_close, memory);
  }
  free(text);
  return file;
}

}  // namespace

long raw_ptrace(long request, pid_t tid, std::uintptr_t address, std::uintptr_t data) {
  long result = 0;
  if (is_resume(request) &&
      exact_ticks().resume(tid, request, static_cast<long>(data), &result)) {
    return libc_result(result);
  }
  return libc_result(kernel_call(SYS_ptrace, request, tid, static_cast<long>(address),
                                 static_cast<long>(data)));
}

pid_t raw_waitpid(pid_t tid, int* status, int options) {
  for (;;) {
    pid_t waited = tid;
    if (exact_ticks().take_status(&waited, status)) return waited;
    int seen = 0;
    waited = static_cast<pid_t>(
        libc_result(kernel_call(SYS_wait4, tid, to_register(&seen), options)));
    if (waited > 0 && exact_ticks().on_status(waited, seen)) continue;
    if (waited > 0 && status != nullptr) *status = seen;
    return waited;
  }
}

void queue_status(pid_t tid, int status) { wait_queue().push(tid, status); }

TraceeFilter* active_filter() { return g_filter; }
void install_filter(TraceeFilter* filter) { g_filter = filter; }

}  // namespace culprit::agent

using culprit::agent::kernel_call;
using culprit::agent::libc_result;
using culprit::agent::to_register;
namespace agent = culprit::agent;

#pragma GCC visibility push(default)
extern "C" {

long syscall(long number, ...) noexcept {
  va_list list;
  va_start(list, number);
  long a[6];
  for (long& argument : a) argument = va_arg(list, long);
  va_end(list);
  if (number == SYS_perf_event_open && a[0] != 0) {
    const auto& attributes = *reinterpret_cast<const perf_event_attr*>(a[0]);
    if (agent::must_replace(attributes)) {
      pid_t opened = 0;
      const long fd = agent::open_counter(attributes, static_cast<pid_t>(a[1]),
                                          static_cast<int>(a[2]),
                                          static_cast<unsigned long>(a[4]), &opened);
      if (fd >= 0 && opened != 0) agent::counting_changed({opened, true});
      return libc_result(fd);
    }
  }
  return libc_result(kernel_call(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}

int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list list;
  va_start(list, request);
  void* argument = va_arg(list, void*);
  va_end(list);
  std::optional<agent::CounterChange> change;
  if (agent::control_counter(fd, request, &change, argument)) {
    if (change) agent::counting_changed(*change);
    return 0;
  }
  return static_cast<int>(libc_result(
      kernel_call(SYS_ioctl, fd, static_cast<long>(request), to_register(argument))));
}

ssize_t read(int fd, void* buffer, size_t size) {
  unsigned long long value = 0;
  if (size == sizeof value && agent::read_counter(fd, &value)) {
    memcpy(buffer, &value, sizeof value);
    return sizeof value;
  }
  return libc_result(kernel_call(SYS_read, fd, to_register(buffer), static_cast<long>(size)));
}

int close(int fd) {
  agent::close_counter(fd);
  return static_cast<int>(libc_result(kernel_call(SYS_close, fd)));
}

// Under a name of its own: libc's declaration has an enum before the dots, for which va_start is not
// defined in C++.
long culprit_ptrace(unsigned int number, ...) noexcept __asm__("ptrace");
long culprit_ptrace(unsigned int number, ...) noexcept {
  va_list list;
  va_start(list, number);
  const pid_t tid = va_arg(list, pid_t);
  const auto address = va_arg(list, std::uintptr_t);
  const auto data = va_arg(list, std::uintptr_t);
  va_end(list);
  const auto request = static_cast<long>(number);
  agent::TraceeFilter* filter = agent::active_filter();
  if (filter != nullptr) {
    if (agent::is_resume(request) &&
        filter->before_resume(tid, {request, static_cast<long>(data)})) {
      return 0;
    }
    if (request == PTRACE_INTERRUPT && filter->on_interrupt(tid)) return 0;
  }
  // The three PEEK requests store through `data` in the kernel and return the word in libc.
  if (request >= PTRACE_PEEKTEXT && request <= PTRACE_PEEKUSER) {
    long word = 0;
    const long result =
        agent::raw_ptrace(request, tid, address, reinterpret_cast<std::uintptr_t>(&word));
    if (result < 0) return -1;
    errno = 0;
    return word;
  }
  return agent::raw_ptrace(request, tid, address, data);
}

pid_t waitpid(pid_t tid, int* status, int options) {
  const agent::Waited waited = agent::filtered_wait({tid, options}, false);
  if (waited.tid > 0 && status != nullptr) *status = waited.status;
  return waited.tid;
}

pid_t wait4(pid_t tid, int* status, int options, struct rusage* usage) {
  if (usage != nullptr) memset(usage, 0, sizeof *usage);
  return waitpid(tid, status, options);
}

int waitid(idtype_t type, id_t id, siginfo_t* info, int options) {
  const bool by_pid = type == P_PID;
  if (!by_pid && type != P_ALL) {
    return static_cast<int>(libc_result(kernel_call(SYS_waitid, type, static_cast<long>(id),
                                                    to_register(info), options, 0)));
  }
  // waitpid() cannot leave out exited children (WEXITED is implied), so ask the kernel what is there
  // first, without taking it. Traced tasks are eligible with and without __WALL.
  const pid_t tid = by_pid ? static_cast<pid_t>(id) : -1;
  const bool keep = (options & WNOWAIT) != 0;
  for (;;) {
    const auto fill = [&](const agent::Waited& waited) {
      agent::fill_siginfo(waited, info);
      return 0;
    };
    // As in filtered_wait(): a filter that asks to be called again gets small steps.
    const bool may_block = (options & WNOHANG) == 0;
    const int again_ms = may_block && agent::active_filter() != nullptr
                             ? agent::active_filter()->before_wait(tid)
                             : 0;
    if (const auto entry = agent::wait_queue().take(tid, keep)) {
      return fill({entry->tid, entry->status});
    }
    siginfo_t seen;
    memset(&seen, 0, sizeof seen);
    if (agent::exact_ticks().has_status(tid)) {
      const agent::Waited waited = agent::filtered_wait({tid, WNOHANG | __WALL}, keep);
      if (waited.tid > 0) return fill(waited);
      continue;
    }
    const long result =
        kernel_call(SYS_waitid, type, static_cast<long>(id), to_register(&seen),
                    options | WNOWAIT | (again_ms > 0 ? WNOHANG : 0), 0);
    if (result < 0) return static_cast<int>(libc_result(result));
    if (seen.si_pid == 0 && may_block) {
      agent::sleep_milliseconds(1);
      continue;
    }
    if (seen.si_pid == 0) {
      if (info != nullptr) memset(info, 0, sizeof *info);
      return 0;
    }
    const agent::Waited waited = agent::filtered_wait({seen.si_pid, WNOHANG | __WALL}, keep);
    if (waited.tid > 0) return fill(waited);
    if (waited.tid < 0 && errno != ECHILD) return -1;
    // The filter kept it (or it is gone): wait on.
  }
}

FILE* fopen(const char* path, const char* mode) {
  if (path != nullptr && agent::is_maps_file(path)) return agent::open_maps(path);
  return agent::real_fopen(path, mode);
}

FILE* fopen64(const char* path, const char* mode) { return fopen(path, mode); }

}  // extern "C"
#pragma GCC visibility pop
