// A stopped moment of the recorded program: one thread's stack, walked and named.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/memory.h"
#include "base/registers.h"
#include "base/types.h"
#include "binary/symbolizer.h"
#include "binary/unwinder.h"
#include "binary/variables.h"
#include "provenance/process_image.h"
#include "replay/replay.h"
#include "runtimes/runtime.h"

namespace culprit::provenance {

/// One physical frame of a walk.
struct WalkFrame {
  binary::Frame frame;
  binary::CodeLocation code;
  runtimes::StackLabel stack;

  /// The bytes of the stack that belong to this frame: from its sp up to its CFA, return address
  /// included. Empty if the CFA is not known.
  [[nodiscard]] ByteRange extent() const;
};

/// A moment: found again in any pass by its mark.
struct Moment {
  replay::Mark mark;
  replay::Position position;
  Registers registers;
  std::vector<WalkFrame> frames;  ///< innermost first; never empty once walked

  /// The frame whose extent holds the address; none if it is in no walked frame.
  [[nodiscard]] std::optional<std::size_t> frame_of(Address a) const;
  /// The innermost frame whose function's code holds `pc`; none if it is in no walked frame.
  [[nodiscard]] std::optional<std::size_t> frame_running(Address pc) const;
};

/// Walks the stack of `position.thread`, across the stack switches that the process's runtimes make.
/// At most `max_frames` frames. Reads through `memory`, which must be that of the stopped moment.
[[nodiscard]] std::vector<WalkFrame> walk(const ProcessImage& image, ThreadId thread,
                                          const Registers& registers, const MemoryReader& memory,
                                          std::size_t max_frames = 256);

/// Fills all of `moment` but its mark from a stopped replay: `at` and `registers` are the stop's, `memory`
/// reads there.
void stand_at(const ProcessImage& image, const replay::Position& at, const Registers& registers,
              const MemoryReader& memory, Moment& moment);

/// Frame `i` as variables are looked up in it. Borrows the moment and `memory`.
[[nodiscard]] binary::FrameView view_of(const Moment& moment, std::size_t i,
                                        const MemoryReader& memory);

}  // namespace culprit::provenance
