// The resume flag (RF, bit 16 of rflags), which stops of a debugger set and no program sees.
#pragma once

#include "base/registers.h"

namespace culprit {

/// Equal, the resume flag apart: the processor sets it where an instruction faults, the kernel at a
/// stop before one (Intel SDM vol. 3, 17.3.1.1).
inline bool same_but_resume_flag(const Registers& a, Registers b) {
  constexpr std::uint64_t kResumeFlag = 1 << 16;
  b.rflags = (b.rflags & ~kResumeFlag) | (a.rflags & kResumeFlag);
  return a == b;
}

}  // namespace culprit
