// What allocators other than glibc's say: jemalloc, mimalloc, tcmalloc (gperftools, with its debug
// library), Scudo.
//
// Formats read from jemalloc 5.3 (src/safety_check.c, include/jemalloc/internal/{assert,util}.h,
// src/sz.c, src/pac.c), mimalloc 2.0 and 2.2 (src/alloc.c, src/free.c, src/page.c, src/options.c),
// gperftools 2.10 (src/tcmalloc.cc, src/debugallocation.cc), and compiler-rt 14 (scudo/standalone/
// report.cpp).
#pragma once

#include "crash/front_end.h"

namespace culprit::crash {

extern const FrontEnd kAllocatorFrontEnd;

}  // namespace culprit::crash
