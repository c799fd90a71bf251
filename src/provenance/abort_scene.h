// What a program that stopped itself was unhappy about, as far as its stack tells: the pointer that it
// handed to the allocator, the canary that it found changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "provenance/last_writer.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "provenance/value_source.h"
#include "replay/replay.h"

namespace culprit::provenance {

/// An abort that has something to follow.
struct AbortScene {
  enum class Kind : std::uint8_t {
    release,          ///< inside a call that frees or resizes the block at `pointer`
    allocation,       ///< inside a call that allocates: the allocator's own data is damaged
    stack_protector,  ///< the function of `frame` found its canary changed
  };
  Kind kind = Kind::release;
  std::size_t frame = 0;  ///< of the moment: the allocator's function, or the one with the canary

  std::uint64_t pointer = 0;               ///< release: what was to be freed
  std::optional<replay::HeapBlocks> blocks;  ///< release: whose memory it is
  replay::HeapCall call;                   ///< release, allocation: the call under way
  Address call_site;                       ///< release: the call instruction in frame + 1
  std::optional<ValueSource> source;       ///< release: where the caller had the pointer from
  std::optional<SourcePlace> source_place;

  /// The word whose change was noticed: a canary, the header of a block (glibc). Its value is the one at
  /// the crash.
  std::optional<Slot> slot;
  std::optional<SourcePlace> slot_place;
};

/// Looks at the stopped crash. Nothing if the stack shows none of these. `live` must stand at `moment`, in a
/// pass that keeps the heap's book.
[[nodiscard]] std::optional<AbortScene> look_at_abort(const ProcessImage& image, const Moment& moment,
                                                      const replay::LiveState& live);

}  // namespace culprit::provenance
