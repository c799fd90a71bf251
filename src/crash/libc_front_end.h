// What glibc says before it aborts: its allocator, the stack protector, fortified functions,
// assert(), and its own fatal errors.
//
// Formats read from glibc 2.19, 2.23, 2.31 and 2.36 (malloc/malloc.c malloc_printerr,
// debug/fortify_fail.c, debug/chk_fail.c, sysdeps/posix/libc_fatal.c, assert/assert.c).
#pragma once

#include "crash/front_end.h"

namespace culprit::crash {

extern const FrontEnd kLibcFrontEnd;

}  // namespace culprit::crash
