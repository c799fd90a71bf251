// A backward slice over instructions that did execute, whose registers were logged.
//
// Addresses of all loads and stores are exact, calls are simply part of the window, and each byte
// is followed on its own. The slicer checks itself: where a followed value passes through a
// general-purpose register, the logged register must hold it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
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
  /// Whether an address was mapped. Where a sum is no such address although one of its inputs is, the
  /// other input (an index) is what is wrong, and is the one to go on with. May be empty.
  std::function<bool(std::uint64_t)> mapped;
  /// The asked bytes are a number, an index or a size: whoever made what they are a multiple of made them.
  bool number = false;
  std::uint32_t max_transformations = 32;  ///< how many of those, nearest first
};

/// Where a piece ends.
enum class OriginKind : std::uint8_t {
  memory,     ///< read from `place` at `step`, and not stored to in the window before that
  immediate,  ///< `constant`
  zero,
  transformation,  ///< WindowSlice::transformations[transformation]
  system_call,     ///< a register that the system call at `step` set
  window_start,    ///< held by register `place` before the first step: needs a wider window
  /// The log contradicts the code. `place` is a register: its logged value changed across `step`
  /// though the instruction there does not write it (a signal handler, a lost step). `place` is
  /// memory: at `step` it held the followed value, but the last store to it in this window wrote
  /// another one, so the kernel, another thread or a mapping change wrote it after that.
  inconsistent,
  unreadable_code,  ///< the instruction at `step` could not be decoded
  limit,            ///< too many pieces at once
};
const char* to_string(OriginKind kind);

/// The origin of a piece, in terms of the window.
struct Origin {
  OriginKind kind = OriginKind::limit;
  /// Index into steps; steps.size() if the asked bytes themselves are the origin, at the end.
  std::size_t step = 0;
  Address pc;                             ///< rip at `step`
  std::optional<Place> place;             ///< just before `step`
  std::optional<std::uint64_t> constant;  ///< immediate: these bytes, at most 8, little endian
  std::optional<std::size_t> transformation;
  /// memory only: the newest system call in the window before `step`. It may have written the
  /// memory; this slicer does not know what system calls write.
  std::optional<std::size_t> earlier_system_call;
};

/// One run of followed bytes with one origin.
struct WindowPiece {
  std::uint32_t offset = 0;  ///< within the asked bytes, or within the transformation's input
  std::uint32_t size = 0;
  /// Set: the bytes belong to input `input` of this transformation. Not set: to the asked bytes,
  /// and the origin holds the identical value.
  std::optional<std::size_t> parent;
  std::size_t input = 0;
  /// Behind a transformation, further constant steps of a whole pointer (add, lea, string pointers)
  /// are passed through: the input as one number = the number that its pieces make + added.
  std::int64_t added = 0;
  Origin origin;
  /// likely: a system call or a store of unknown address may have written these bytes on the way,
  /// or steps are missing in the window.
  Certainty certainty = Certainty::proved;
  std::vector<std::byte> value;  ///< at the origin, where known from a register; else empty
  /// Newest first, up to and including the origin's step; empty if the asked bytes or the input are
  /// their own origin. Places are those of the bytes that moved together, cut or joined later on.
  std::vector<PathStep> path;
};

/// An instruction that made a new value from others.
struct Transformation {
  std::size_t step = 0;
  Address pc;
  x86::FlowKind kind = x86::FlowKind::arithmetic;  ///< address, arithmetic, select or unknown
  Place result;                                    ///< the bytes asked for of its result
  std::vector<Place> inputs;                       ///< before `step`
  /// Parallel to inputs: what each was, where a register says so; of a constant that was loaded into a
  /// register before, that.
  std::vector<std::optional<std::uint64_t>> input_values;
  std::optional<std::uint64_t> constant;  ///< in the instruction; else a constant input of a bit operation
  /// The input to go on with: the one that carries the pointer, judged by the operation and the
  /// logged values; the index, where the pointer is good and the sum is not; the one that was taken,
  /// of a select.
  std::optional<std::size_t> main_input;
  /// The result is the main input in another dress, so that who made the input made the result: a
  /// pointer and an offset, a tag, a scaled index, the input that a select took. False: a value of its own
  /// was computed here.
  bool carries = false;
  bool index = false;     ///< the main input is an index, beside a good pointer
  bool followed = false;  ///< there are pieces whose parent this is
};

/// The answer.
struct WindowSlice {
  std::vector<WindowPiece> pieces;  ///< by parent (asked bytes first), input, offset
  std::vector<Transformation> transformations;

  /// Indices into `pieces`: the largest piece of the asked bytes, then through the main input of each
  /// transformation that carries it, to the last origin. Empty only if `pieces` is.
  std::vector<std::size_t> main_line() const;
};

/// Linear in the number of steps. Errors: bad_input for an empty window, no code, or no asked bytes
/// or too many.
Result<WindowSlice> slice_window(const WindowQuery& query);

}  // namespace culprit::provenance
