// Rust's panics and aborts.
//
// Formats read from Rust 1.63 and 1.95 (library/std/src/panicking.rs, default_hook; sys/…/stack
// overflow handlers; rt.rs, rtabort; alloc.rs). The place moved from behind the message to before
// it in 1.73, and the thread's number came in 1.91:
//   thread 'main' panicked at 'MESSAGE', src/main.rs:2:5
//   thread 'main' panicked at src/main.rs:2:5:⏎MESSAGE
//   thread 'main' (123) panicked at src/main.rs:2:5:⏎MESSAGE
#pragma once

#include "crash/front_end.h"

namespace culprit::crash {

extern const FrontEnd kRustFrontEnd;

}  // namespace culprit::crash
