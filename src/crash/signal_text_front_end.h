// What a shell or the kernel's log says of a process that was killed by a signal.
//
// Formats read from bash 5.2 (jobs.c, siglist.c), dash 0.5 (jobs.c), zsh 5.9, fish 3.6, glibc's
// strsignal, gdb 13 and Linux 6.1 (arch/x86/mm/fault.c show_signal_msg, arch/x86/kernel/traps.c
// show_signal).
#pragma once

#include "crash/front_end.h"

namespace culprit::crash {

extern const FrontEnd kSignalTextFrontEnd;

}  // namespace culprit::crash
