// Valgrind's memcheck. All its lines begin with "==PID==", so that the texts of several processes
// can be told apart even where they are interleaved.
//
// Formats read from Valgrind 3.19 (memcheck/mc_errors.c, coregrind/m_addrinfo.c,
// coregrind/m_signals.c).
#pragma once

#include "crash/front_end.h"

namespace culprit::crash {

extern const FrontEnd kValgrindFrontEnd;

}  // namespace culprit::crash
