// Which system call took the memory away that a pointer still leads to.
#pragma once

#include <chrono>
#include <optional>

#include "base/result.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

/// A munmap, or a mremap that moved, after which an address was mapped no more.
struct Unmapping {
  Moment moment;                ///< just before the system call
  replay::Hit::Kernel syscall;  ///< its number, arguments and result
};

/// The newest one before the crash that covers `address` in the image's process: from the trace's
/// index, and one pass to look at the caller. Nothing if there is none, or the address is mapped at
/// the crash.
[[nodiscard]] Result<std::optional<Unmapping>> find_unmapping(replay::Replay& replay,
                                                              const ProcessImage& image,
                                                              Address address,
                                                              std::chrono::milliseconds deadline,
                                                              report::Stats& stats);

}  // namespace culprit::provenance
