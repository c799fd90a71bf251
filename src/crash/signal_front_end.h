// A plain fatal signal, or an exit status: what the kernel says, without any text.
//
// si_code and si_addr after sigaction(2) and Linux' asm-generic/siginfo.h, x86-64: a general
// protection fault (a non-canonical address, a misaligned SSE operand) arrives as SIGSEGV with
// SI_KERNEL and si_addr 0, so the address is unknown then.
#pragma once

#include "crash/front_end.h"

namespace culprit::crash {

extern const FrontEnd kSignalFrontEnd;

}  // namespace culprit::crash
