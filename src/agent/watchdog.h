// The thread that ends a recording which software ticks cannot carry on.
//
// rr waits for the one task that it lets run. Without time slices that wait may never end: the task
// may spin until another one does something, or compute while a signal waits. The thread looks at
// what the tracer's thread publishes here a few times a second and costs the recording nothing.
//
// Only the tracer's thread may look into a task, so the watchdog stops the task with a time-slice
// signal; watch_take_look() tells the tracer that it was meant so. If the tracer does not get to it
// within two seconds, the watchdog refuses by itself.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "agent/report.h"

namespace culprit::agent {

/// Limits in milliseconds of wall time. A quarter of it must also be CPU time of the task, so that
/// a busy machine is not mistaken for a spinning task.
struct WatchdogLimits {
  std::uint32_t hold_ms = 3000;
  std::uint32_t starve_ms = 5000;
  std::uint32_t learn_ms = 0;  ///< when a task is looked at first; 0: at one of the others only
};

/// Starts the thread. All signals are blocked in it: rr counts on SIGALRM to interrupt its waits.
void start_watchdog(WatchdogLimits limits);

/// `tid` runs user code from now on. Called by the tracer's thread only, as are the next four.
void watch_running(pid_t tid);
/// A signal of `tid` waits; the first such call since watch_running() sets the time.
void watch_held(pid_t tid, int signal);
/// Did the watchdog ask for a look at `tid`? Tells it once.
bool watch_take_look(pid_t tid);
/// Was that the last one, after which the recording ends?
bool watch_last_look(pid_t tid);
/// refuse() with the reason for which the look was asked.
[[noreturn]] void watch_refuse(pid_t tid, Refusal kind);
/// `tid` has stopped.
void watch_stopped(pid_t tid);
/// Tasks of the recording: those that might be waiting for their turn.
void watch_add_task(pid_t tid);
void watch_remove_task(pid_t tid);

/// SIGKILL to all tasks known here.
void kill_known_tasks();

}  // namespace culprit::agent
