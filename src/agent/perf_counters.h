// The counters that rr believes in, on a machine that has none.
//
// rr 5.6 (PerfCounters.cc) opens PERF_TYPE_RAW events: on its own thread (tid 0) to test the
// hardware, and for each task to count "ticks" and to interrupt it when a time slice is over. Each
// gets a descriptor of a real software event instead (task clock), because one of the self tests
// issues its ioctls inline, past libc; nothing is ever counted with it. A task's ticks are the
// executions of landings (landing_counter.h), 0 where there are none.
//
// After use_hardware_counters() all of it is out of the way: rr gets the CPU's own counters.
//
// All functions may be called from any thread of rr (it closes and reads files on several).
#pragma once

#include <linux/perf_event.h>
#include <stddef.h>
#include <sys/types.h>

#include <optional>

namespace culprit::agent {

/// What a call on a descriptor means for the counting of a task.
struct CounterChange {
  pid_t tid = 0;
  bool counting = false;
};

/// From now on no event is replaced. Called before rr opens its first one.
void use_hardware_counters();

/// Is this an event that must be replaced?
bool must_replace(const perf_event_attr& attributes);

/// What a task's ticks counter reads. Without a source it reads 0.
struct TicksSource {
  unsigned long long (*read)(pid_t tid) = nullptr;  ///< since the last reset
  void (*reset)(pid_t tid) = nullptr;
  /// The time-slice signal is due after so many ticks, from the counter `fd`. May be null.
  void (*set_period)(pid_t tid, int fd, unsigned long long period) = nullptr;
};
/// To be set before rr opens a counter.
void set_ticks_source(TicksSource source);

/// perf_event_open(2) for such an event: a descriptor or a negative errno. `task_opened` is set to
/// the tid if this is the ticks counter of a task.
long open_counter(const perf_event_attr& attributes, pid_t tid, int cpu, unsigned long flags,
                  pid_t* task_opened);

/// True if `fd` is a replaced counter; then the reading (8 bytes) is stored.
bool read_counter(int fd, unsigned long long* value);

/// True if `fd` is a replaced counter and the request needs nothing of the kernel; `change` is set
/// if it starts or stops the counting of a task. `argument` is the request's (PERF_EVENT_IOC_PERIOD).
bool control_counter(int fd, unsigned long request, std::optional<CounterChange>* change,
                     const void* argument = nullptr);

/// Forgets `fd`. Cheap for others.
void close_counter(int fd);

}  // namespace culprit::agent
