// The pointer behind a memory access: where the address came from, and which object it was meant
// for.
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

/// A pointer that an access was made through, before anything was added to it.
struct PointerOrigin {
  std::uint64_t value = 0;
  ResolvedSource source;  ///< where the accessing code had it from
};

/// The part of a memory operand that names the object: a register, or, for arrays in frames and at
/// fixed addresses, a number.
struct AccessPointer {
  std::optional<Gpr> reg;              ///< its value may have come a long way
  std::optional<std::uint64_t> value;  ///< of reg, or the number itself
};

/// Nothing for an operand that names a variable by itself (a fixed place in the frame,
/// rip-relative). `registers`, of those in `known`, as before the access. `frame_cfa`: rbp just
/// below it is a frame pointer.
[[nodiscard]] std::optional<AccessPointer> pointer_of(const ProcessImage& image,
                                                      const x86::MemOperand& operand,
                                                      const Registers& registers,
                                                      std::uint16_t known,
                                                      std::optional<Address> frame_cfa);

/// The pointer `reg` of the instruction at `pc`, which executed last in frame `frame` of
/// `moment` before it (or, for a store, made the moment). Two passes and more. `to_the_end` as in
/// resolve_register_at(). Nothing if the window does not reach the access.
[[nodiscard]] Result<std::optional<PointerOrigin>> pointer_of_access(
    replay::Replay& replay, const ProcessImage& image, const Moment& moment, std::size_t frame,
    Address pc, Gpr reg, bool to_the_end, WindowLimits limits, std::chrono::milliseconds deadline,
    report::Stats& stats, WindowAnswers& answers);

/// object_meant_at(), at a moment that an earlier pass stood at. One pass. `filled`: what a call was told to fill
/// there; an array is only answered if that is no whole part of the object.
[[nodiscard]] Result<IntendedObject> object_meant(replay::Replay& replay, const ProcessImage& image,
                                                  const Moment& moment, Address pointer,
                                                  Address stored,
                                                  std::chrono::milliseconds deadline,
                                                  report::Stats& stats,
                                                  std::optional<ByteRange> filled = std::nullopt);

}  // namespace culprit::provenance
