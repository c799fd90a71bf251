// What the C library and the compilers' run-time checks say before they abort.
//
// Formats read from glibc 2.19, 2.31 and 2.36 (malloc/malloc.c malloc_printerr,
// debug/fortify_fail.c, sysdeps/posix/libc_fatal.c, assert/assert.c) and libstdc++ 12
// (vterminate.cc, debug assertions).
#pragma once

#include "crash/front_end.h"

namespace culprit::crash {

extern const FrontEnd kLibcFrontEnd;

}  // namespace culprit::crash
