// The moment at which an allocator's function was called, found again.
#pragma once

#include <chrono>
#include <optional>

#include "base/result.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

/// The entry of the call that the heap's book has as `call`, which came before `before`: frame 0 is the
/// allocator's function, frame 1, if the stack can be walked, its caller. Two passes. Nothing if the call was followed by more than a few
/// thousand others of the same function, or cannot be told from another one.
[[nodiscard]] Result<std::optional<Moment>> moment_of_call(replay::Replay& replay,
                                                           const ProcessImage& image,
                                                           const replay::HeapCall& call,
                                                           const replay::Mark& before,
                                                           std::chrono::milliseconds deadline,
                                                           report::Stats& stats);

}  // namespace culprit::provenance
