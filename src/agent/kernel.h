// System calls without libc: libc's own names for them are what the agent interposes.
#pragma once

#include <errno.h>

namespace culprit::agent {

/// The raw result: negative errno on failure. Does not touch errno.
inline long kernel_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                        long f = 0) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

/// libc's convention: -1 and errno on failure.
inline long libc_result(long result) {
  if (result < 0 && result > -4096) {
    errno = static_cast<int>(-result);
    return -1;
  }
  return result;
}

template <typename T>
inline long to_register(T* pointer) {
  return reinterpret_cast<long>(pointer);
}

}  // namespace culprit::agent
