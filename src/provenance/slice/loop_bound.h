// The comparison that let a loop go on: where a counter led astray, its bound is what was wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/registers.h"
#include "base/types.h"

namespace culprit::provenance {

/// What a counter was compared with.
struct LoopBound {
  Address pc;                          ///< of the comparison
  std::optional<Gpr> reg;              ///< that held the bound then
  std::optional<std::uint64_t> value;  ///< of reg, of `size` bytes
  std::optional<ByteRange> memory;     ///< or where it lay
  std::uint32_t size = 8;              ///< bytes compared
  std::uint64_t counter = 0;
};

/// The newest comparison in `function` that ran at least twice in the window, was followed by a
/// conditional jump, and had one of `counters` in a register on one side. `steps`: registers before
/// each instruction, oldest first; numbers below 2 are no counters. Nothing if there is none, or
/// the other side is a constant.
[[nodiscard]] std::optional<LoopBound> find_loop_bound(std::span<const Registers> steps,
                                                       const MemoryReader& code, ByteRange function,
                                                       const std::vector<std::uint64_t>& counters);

}  // namespace culprit::provenance
