// Going to one moment of the recording, to see who is there.
#pragma once

#include <chrono>
#include <optional>

#include "base/result.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

/// One pass to `mark`: the thread's stack there. Nothing if the replay ends before it. Errors:
/// those of Replay::run.
[[nodiscard]] Result<std::optional<Moment>> visit(replay::Replay& replay, const ProcessImage& image,
                                                  const replay::Mark& mark,
                                                  std::chrono::milliseconds deadline,
                                                  report::Stats& stats);

/// Just before the system call that returned in the frame `exit`.
[[nodiscard]] replay::Mark entry_of_call(const replay::TraceIndex& index,
                                         const replay::Frame& exit);

}  // namespace culprit::provenance
