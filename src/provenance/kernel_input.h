// Where bytes came from that a system call wrote into memory: descriptor, path, file position, and
// the call of a recorded process that had written them into a pipe or socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "provenance/descriptors.h"
#include "provenance/last_writer.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

/// What is known of it.
struct KernelInput {
  int descriptor = -1;
  std::string path;                          ///< as the program gave it to open; at most 4096 bytes
  std::optional<std::uint64_t> file_offset;  ///< of the slot's first byte
  std::string description;                   ///< "standard input", "a pipe"; empty for a file
  /// The write of these bytes, and where they lay then.
  std::optional<StreamWrite> write;
  std::optional<Address> buffer;
};

/// Passes over a replay that only look at memory at one mark. Failures count as "not known".
class MarkReader {
 public:
  MarkReader(replay::Replay& replay, std::chrono::milliseconds deadline, report::Stats& stats)
      : replay_(replay), deadline_(deadline), stats_(stats) {}
  using Look =
      std::function<void(const replay::Position&, const Registers&, const replay::LiveState&)>;
  /// False: the mark was not reached.
  bool at(const replay::Mark& mark, const Look& look);

 private:
  replay::Replay& replay_;
  std::chrono::milliseconds deadline_;
  report::Stats& stats_;
};

/// How many bytes had gone through the buffers of a call, in their order, before the one at `address`;
/// nothing if it is in none of them.
[[nodiscard]] std::optional<std::uint64_t> offset_of(const std::vector<ByteRange>& buffers,
                                                     Address address);
/// Where byte `offset` lay; nothing unless all `size` bytes lie together there.
[[nodiscard]] std::optional<Address> address_of(const std::vector<ByteRange>& buffers,
                                                std::uint64_t offset, std::uint64_t size);

/// The mark of a call's entry, or of its return.
[[nodiscard]] replay::Mark mark_of(const DescriptorCall& call, replay::Mark::Kind kind);

/// `writer` is a kernel write of `slot`. Nothing if its call did not read from a descriptor. Some
/// passes: one for the path, one for each pipe that the process made.
[[nodiscard]] std::optional<KernelInput> trace_input(MarkReader& reader,
                                                     const DescriptorHistory& history,
                                                     const WriterHit& writer, const Slot& slot);

}  // namespace culprit::provenance
