// Ctrl-C and SIGTERM as a state to look at, instead of a sudden death.
#pragma once

#include "base/result.h"

namespace culprit {

/// Installs handlers for SIGINT, SIGTERM and SIGHUP (unless they are ignored, as under nohup) that
/// only remember the signal and wake interrupt_fd(). Call once, in main(). A third SIGINT kills
/// this process at once.
void install_interrupt_handlers();

/// The signal that asked this process to stop, 0 if none came (or no handler is installed).
int interrupt_signal();

/// Good until such a signal has come; then ErrorCode::interrupted, with the signal's name. For work
/// that goes on between two waits.
[[nodiscard]] Status check_interrupt();

/// Readable from the first such signal on (and stays so); -1 before install_interrupt_handlers().
int interrupt_fd();

/// Forgets an interruption (for tests).
void clear_interrupt();

}  // namespace culprit
