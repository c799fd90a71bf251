// UndefinedBehaviorSanitizer: "file.c:12:5: runtime error: …", and the minimal runtime's
// "ubsan: add-overflow". What it says about a deadly signal has the form of the other sanitizers'
// reports: sanitizer_front_end.h.
//
// Formats read from compiler-rt 14 and 19 (ubsan_diag.cpp, ubsan_handlers.cpp,
// ubsan_handlers_cxx.cpp, ubsan_minimal_handlers.cpp) and GCC 12's copy.
#pragma once

#include "crash/front_end.h"

namespace culprit::crash {

extern const FrontEnd kUbsanFrontEnd;

}  // namespace culprit::crash
