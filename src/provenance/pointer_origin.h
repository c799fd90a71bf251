// The pointer behind a memory access: where the address came from, and which object it was meant for.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "provenance/last_writer.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "provenance/source_passes.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

/// The pointer that an access was made through, before anything was added to it.
struct PointerOrigin {
  std::uint64_t value = 0;
  ResolvedSource source;  ///< where the accessing code had it from
};

/// The pointer of operand `operand` of the instruction at `pc`, which executed last in frame `frame` of
/// `moment` before it (or, for a store, made the moment). Two passes. Nothing if the operand has no base
/// register or the window does not reach the access.
[[nodiscard]] Result<std::optional<PointerOrigin>> pointer_of_access(
    replay::Replay& replay, const ProcessImage& image, const Moment& moment, std::size_t frame,
    Address pc, std::size_t operand, std::chrono::milliseconds deadline, report::Stats& stats);

/// The objects that hold some addresses at a moment that an earlier pass stood at. One pass; parallel to
/// `addresses`.
[[nodiscard]] Result<std::vector<std::optional<ObjectBounds>>> objects_at(
    replay::Replay& replay, const ProcessImage& image, const Moment& moment,
    const std::vector<Address>& addresses, std::chrono::milliseconds deadline, report::Stats& stats);

}  // namespace culprit::provenance
