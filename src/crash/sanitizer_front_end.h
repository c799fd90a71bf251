// The reports of AddressSanitizer (and HWAddressSanitizer), MemorySanitizer and ThreadSanitizer,
// and those of all sanitizers about a deadly signal. What UndefinedBehaviorSanitizer says of
// undefined behaviour has another form: ubsan_front_end.h. Leaks are not crashes and are passed
// over.
//
// Formats read from compiler-rt 14 and 19 (asan_errors.cpp, asan_descriptions.cpp, msan_report.cpp,
// tsan_report.cpp, hwasan_report.cpp, sanitizer_symbolizer_report.cpp) and GCC 12's copy.
#pragma once

#include "crash/front_end.h"

namespace culprit::crash {

extern const FrontEnd kSanitizerFrontEnd;

}  // namespace culprit::crash
