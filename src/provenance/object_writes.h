// Writes to the other parts of an object.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "base/result.h"
#include "provenance/last_writer.h"
#include "provenance/process_image.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

/// Words of `object` that do not touch `slot`: 8 bytes, aligned, those that an initialisation is
/// likely to set first: the nearest ones on both sides, the object's first and last, and then from
/// the front. At most six.
[[nodiscard]] std::vector<Slot> words_beside(const ByteRange& slot, const ByteRange& object);

/// Was another part of the object that `slot` is in written in its life, before `before`? The life
/// begins at the entry of `owner`, or, without an owner, at the newest allocation of the block that
/// holds the slot. The newest such write of one of words_beside(); not the allocator's own. Two to
/// four passes. Nothing if there is none.
[[nodiscard]] Result<std::optional<WriterHit>> find_write_beside(
    replay::Replay& replay, const ProcessImage& image, const Slot& slot, const ByteRange& object,
    const replay::Mark& before, const std::optional<Activation>& owner,
    std::chrono::milliseconds deadline, report::Stats& stats);

/// If the store `writer`, just behind the end of `object`, was the last step of a run over it: the
/// step before it, which stored the object's last element. The same instruction in the same
/// activation made both, and it stored nothing further behind. Three passes, fewer if there is no
/// such step.
[[nodiscard]] Result<std::optional<WriterHit>> find_step_before_end(
    replay::Replay& replay, const ProcessImage& image, const WriterHit& writer,
    const ByteRange& object, std::chrono::milliseconds deadline, report::Stats& stats);

}  // namespace culprit::provenance
