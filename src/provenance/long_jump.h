// Frames that ended because somebody jumped out of them.
#pragma once

#include <chrono>
#include <optional>

#include "base/result.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

/// A longjmp that took the frame of a local away.
struct LongJump {
  Moment moment;   ///< at the entry of longjmp
  Address target;  ///< the stack pointer that it set
};

/// The newest longjmp of `thread` before `before` that went from below `local` to above it, from the
/// jmp_buf that it was given. One pass; none if the process has no longjmp. Nothing where there was none.
///
/// The jmp_buf's layout and how its words are hidden are glibc's for x86-64: the stack pointer is word 6
/// (sysdeps/x86_64/jmpbuf-offsets.h, JB_RSP), rotated left by 17 bits after it was xored with fs:0x30
/// (sysdeps/unix/sysv/linux/x86_64/pointer_guard.h, glibc 2.36).
[[nodiscard]] Result<std::optional<LongJump>> find_long_jump_over(replay::Replay& replay,
                                                                  const ProcessImage& image,
                                                                  ThreadId thread, Address local,
                                                                  const replay::Mark& before,
                                                                  std::chrono::milliseconds deadline,
                                                                  report::Stats& stats);

}  // namespace culprit::provenance
