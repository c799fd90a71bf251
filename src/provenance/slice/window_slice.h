// A backward slice over instructions that did execute, whose registers were logged.
//
// Addresses of all loads and stores are exact, calls are simply part of the window, and each byte
// is followed on its own. The slicer checks itself: where a followed value passes through a
// general-purpose register, the logged register must hold it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/memory.h"
#include "base/registers.h"
#include "base/result.h"
#include "base/types.h"
#include "provenance/slice/slice_path.h"

namespace culprit::provenance {

/// A question to slice_window().
struct WindowQuery {
  /// Registers before each executed instruction of one thread, oldest first. A rep-prefixed string
  /// instruction may have one entry per iteration, or fewer: rcx tells how many ran.
  std::span<const Registers> steps;
  Registers final_registers;           ///< after the last one
  const MemoryReader* code = nullptr;  ///< the instructions; must not change during the window
  Place asked;                         ///< at the end of the window; memory at most 4096 bytes
  /// The asked bytes' value if known, from offset 0; may be shorter than the asked bytes.
  std::vector<std::byte> value;
  bool follow_inputs = true;               ///< go on behind address computations and arithmetic
  std::uint32_t max_transformations = 32;  ///< how many of those, nearest first
};

/// Where a piece ends.
enum class OriginKind : std::uint8_t {
  memory,     ///< loaded from `place` at `step`; not stored to in the window before that
  immediate,  ///< `constant`
  zero,
  transformation,  ///< WindowSlice::transformations[transformation]
  system_call,     ///< a register that the system call at `step` set
  window_start,    ///< held by register `place` before the first step: needs a wider window
  inconsistent,    ///< the logged registers contradict the followed value at `step`: a signal
                 ///< handler, the kernel, or another thread changed it, or the code did
  unreadable_code,  ///< the instruction at `step` could not be decoded
  limit,            ///< too many pieces at once
};
const char* to_string(OriginKind kind);

/// The origin of a piece, in terms of the window.
struct Origin {
  OriginKind kind = OriginKind::limit;
  std::size_t step = 0;                   ///< index into steps
  Address pc;                             ///< steps[step].rip
  std::optional<Place> place;             ///< memory: before `step` executed
  std::optional<std::uint64_t> constant;  ///< immediate, at most 8 bytes, little endian
  std::optional<std::size_t> transformation;
  /// memory only: the newest system call in the window before `step`. It may have written the
  /// memory; this slicer does not know the system call's results.
  std::optional<std::size_t> earlier_system_call;
};

/// One run of followed bytes with one origin.
struct WindowPiece {
  std::uint32_t offset = 0;  ///< within the asked bytes, or within the transformation's input
  std::uint32_t size = 0;
  /// Set: the bytes belong to input `input` of this transformation. Not set: to the asked bytes,
  /// and the origin holds the identical value (for memory, immediate, zero).
  std::optional<std::size_t> parent;
  std::size_t input = 0;
  Origin origin;
  Certainty certainty = Certainty::proved;  ///< likely: a system call may have written in between
  std::vector<std::byte> value;  ///< the bytes where they passed through a register, else empty
  std::vector<PathStep> path;    ///< newest first; copies only; ends with the origin's step
};

/// An instruction that made a new value from others.
struct Transformation {
  std::size_t step = 0;
  Address pc;
  x86::FlowKind kind = x86::FlowKind::arithmetic;  ///< address, arithmetic, select or unknown
  Place result;                                    ///< the bytes asked for of its result
  std::vector<Place> inputs;                       ///< before `step`
  std::optional<std::uint64_t> constant;
  /// The input that carries the pointer, judged by the operation and the logged values.
  std::optional<std::size_t> main_input;
  bool followed = false;  ///< there are pieces whose parent this is
};

/// The answer.
struct WindowSlice {
  std::vector<WindowPiece> pieces;  ///< by parent (asked bytes first), input, offset
  std::vector<Transformation> transformations;

  /// Indices into `pieces`: the largest piece of the asked bytes, then through each
  /// transformation's main input, to the last origin. Empty only if `pieces` is.
  std::vector<std::size_t> main_line() const;
};

/// Linear in the number of steps. Errors: bad_input for an empty window, no code, or no asked bytes
/// or too many.
Result<WindowSlice> slice_window(const WindowQuery& query);

}  // namespace culprit::provenance
