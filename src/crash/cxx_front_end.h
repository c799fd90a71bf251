// What the C++ libraries say before they abort: std::terminate, virtual functions without a body,
// and the assertions of libstdc++ (with its debug mode) and libc++.
//
// Formats read from libstdc++ 12 (libsupc++/vterminate.cc, pure.cc, src/c++11/assert_fail.cc,
// src/c++11/debug.cc) and libc++ and libc++abi 14 to 19 (cxa_default_handlers.cpp, cxa_virtual.cpp,
// cxa_guard_impl.h, __assert, verbose_abort.cpp).
#pragma once

#include "crash/front_end.h"

namespace culprit::crash {

extern const FrontEnd kCxxFrontEnd;

}  // namespace culprit::crash
