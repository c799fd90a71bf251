// The stack as it stood at a step of a window, made from the logged registers alone.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "base/memory.h"
#include "base/registers.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "replay/replay.h"

namespace culprit::provenance {

/// Memory of which nothing is known: for moments that have gone.
class NoMemory : public MemoryReader {
 public:
  [[nodiscard]] std::size_t read(Address, std::span<std::byte>) const override { return 0; }
};

/// The canonical frame address of the function that `registers` stand in, from the call frame information
/// alone; nothing if it needs memory or there is none.
[[nodiscard]] std::optional<Address> cfa_at(const ProcessImage& image, const Registers& registers);

/// The moment just before step `step` of a window that ends at `end` and began at the entry of
/// `end.frames[window_frame]`. Its frames are those of the calls of the window that had not returned,
/// each with all registers as they were at the call, and then the callers of the window's function, which
/// live throughout. `code` must hold the window's instructions. The mark and position are those of `end`.
/// At most 256 frames. The time is linear in `step`.
[[nodiscard]] Moment moment_at_step(const ProcessImage& image, const Moment& end,
                                    const replay::StepWindow& window, std::size_t step,
                                    std::size_t window_frame, const MemoryReader& code);

}  // namespace culprit::provenance
