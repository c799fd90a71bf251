// Private to slice/: the only way that control can have come to an instruction.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "x86/instruction.h"

namespace culprit::provenance {

/// Instructions that must have executed one after the other before a moment, oldest first.
struct StaticPath {
  std::vector<x86::Instruction> instructions;
  Address leader;               ///< the oldest one, or the moment's own address if there is none
  bool from_entry = false;      ///< `leader` is the function's entry
  bool truncated = false;       ///< older instructions are known but left out
  bool indirect_jumps = false;  ///< the function has jump tables
  bool unclean = false;         ///< the function holds bytes that are no instruction
};

/// The path that ends at `instruction`, with it or without it. It goes back while an instruction
/// has exactly one predecessor among the function's direct jumps and fallthroughs, and takes calls
/// to return. Errors: bad_input if `instruction` is not on the grid that starts at the function's
/// first byte, or the function is larger than 4 MiB.
Result<StaticPath> find_static_path(std::span<const std::byte> code, Address function,
                                    Address instruction, bool with_instruction);

}  // namespace culprit::provenance
