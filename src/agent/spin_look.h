// A look at a task that has computed for long without a system call: does it wait in a loop, and
// which instruction of the loop would do as a landing (landing_counter.h)?
//
// Nothing here bears on soundness: a bad choice makes the next recording slow or useless, not
// wrong.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "agent/held_signals.h"

namespace culprit::agent {

struct SpinLook {
  enum class Kind : unsigned char {
    unclear,  ///< no loop was seen, or one that may as well compute
    waits,    ///< the loop has a pause or a locked instruction, or changes nothing
  };
  Kind kind = Kind::unclear;
  std::uint64_t address = 0;  ///< where the task was at the beginning
  std::uint64_t landing = 0;  ///< 0: none was found
  bool resumed = false;       ///< another stop was met and is queued for rr: do not resume the task
};

/// Single-steps the stopped task for some thousand instructions (about 0.1 s; `thorough`: 1.3 s at
/// most), not over a system call. Signals that arrive meanwhile are held.
SpinLook look_at_spin(pid_t tid, bool thorough, HeldSignals& held);

/// Reports where `address` lies in the task's address space ("spin" line of report.h).
void report_place(pid_t tid, std::uint64_t address);

}  // namespace culprit::agent
