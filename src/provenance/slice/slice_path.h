// What both slicers speak of: places at a moment, and the steps of a path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "base/types.h"
#include "x86/data_flow.h"
#include "x86/places.h"

namespace culprit::provenance {

/// Whether a claim follows from the code and registers alone, or rests on an assumption.
enum class Certainty : std::uint8_t { proved, likely };

/// Bytes of a register, or of memory at an exact address.
using Place = std::variant<x86::RegisterBytes, ByteRange>;

/// "rdi", "0xc000100000..+8".
std::string to_string(const Place& place);

/// One instruction of a path, newest first in a path. The value moved from `from` to `to`.
struct PathStep {
  std::size_t index = 0;  ///< window slices: index into the window's steps. Static ones: 0
  Address pc;
  x86::FlowKind kind = x86::FlowKind::copy;
  /// The bytes before and after this instruction. Absent where there is none (an immediate) or
  /// where its address is not known (static slices).
  std::optional<Place> from;
  std::optional<Place> to;
};

}  // namespace culprit::provenance
