// The arguments of a variadic function that have no names: where they lie, and which one an address is in.
//
// Source of the layout: System V ABI for x86-64, 3.5.7 "Variable Argument Lists": the function itself saves
// the argument registers that its named parameters leave over; what does not fit into registers lies on the
// stack, from its CFA on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/memory.h"
#include "base/types.h"
#include "provenance/moment.h"

namespace culprit::provenance {

/// Where a function keeps each of rdi, rsi, rdx, rcx, r8 and r9, counted from its CFA; nothing for those that
/// it does not save as they came in.
using SavedArguments = std::array<std::optional<std::int64_t>, 6>;

/// Reads the beginning of the function at `entry`, straight on, at most 64 instructions.
[[nodiscard]] SavedArguments saved_arguments(const MemoryReader& code, Address entry);

/// An argument without a name.
struct UnnamedArgument {
  std::size_t frame = 0;                ///< of the moment: the variadic function's
  std::optional<std::size_t> position;  ///< among the arguments that are numbers or pointers, from 1
};

/// The unnamed argument that the eight bytes around `address` are, at a moment when its function has not
/// returned. The address must belong to no variable. Nothing if it is none.
[[nodiscard]] std::optional<UnnamedArgument> unnamed_argument(const Moment& moment, Address address,
                                                              const MemoryReader& code);

}  // namespace culprit::provenance
