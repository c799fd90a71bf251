// The Go runtime's reports about itself and about faults.
//
// Formats read from Go's own sources, versions 1.4, 1.5, 1.9, 1.19.8 and 1.26.8:
//   mbitmap.go   badPointer (before 1.14: heapBitsForObject; span.start= and idx= for span.base())
//   mgcmark.go   gcDumpObject, greyobject ("marking free object"); before 1.5, mgc0.c and mgc.go:
//                "garbage collector found invalid heap pointer"
//   mgcsweep.go  reportZombies. With the Green Tea collector (1.25 on) the dump names no zombie.
//   stack.go     adjustpointers ("bad pointer in frame"; the throw was "invalid stack pointer"
//   to 1.5) mbarrier.go  "runtime: writebarrierptr *0x… = 0x…" (1.5 to 1.9) cgocheck.go  "write of
//   [unpinned ]Go pointer 0x… to non-Go memory 0x…" signal_unix.go  sighandler, fatalsignal ("PC=…
//   m=… sigcode=… addr=…"), sigpanic panic.go     dopanic_m ("[signal SIGSEGV: … code=0x1 addr=0x0
//   pc=0x…]"), throw, fatal, printpanics error.go     boundsErrorFmts traceback.go "unexpected
//   return pc for F called from 0x…", tracebackHexdump
#pragma once

#include "crash/front_end.h"

namespace culprit::crash {

extern const FrontEnd kGoFrontEnd;

}  // namespace culprit::crash
