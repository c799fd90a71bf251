// Who wrote these bytes last, before a given moment.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "provenance/value_source.h"
#include "replay/replay.h"
#include "report/model.h"
#include "x86/find_writer.h"

namespace culprit::provenance {

/// Bytes of memory that hold a known value at a known moment.
struct Slot {
  Address address;
  std::uint32_t size = 8;   ///< 1–8 bytes
  std::uint64_t value = 0;  ///< little endian, bytes above `size` are zero

  [[nodiscard]] ByteRange range() const { return ByteRange{address, size}; }
  /// The probe that hits whenever the slot is given this value.
  [[nodiscard]] replay::Probe probe() const;
};

/// The activation that owns a slot at the moment of reading: its function's entry, where rsp is cfa - 8.
struct Activation {
  Address entry;
  Address cfa;
  ThreadId thread;
};

/// What can be said about a slot as the source of a value, at the moment it was read.
struct SourcePlace {
  report::Location location;
  std::string name;                      ///< what the reading code calls it: "gp.stack.lo"
  std::optional<Activation> activation;  ///< if the slot lies in a stack frame of that moment
  std::string no_debug_info;             ///< why that frame's variables have no names; empty: they do
};

/// One write of the slot, examined while the replay stood at it.
struct WriterHit {
  Moment moment;                               ///< just after the store
  replay::Hit hit;
  std::optional<x86::WriterCandidate> writer;  ///< none for the kernel, or if it cannot be decoded
  binary::CodeLocation code;                   ///< of the writing instruction
  std::size_t frame = 0;                       ///< of moment.frames, in whose code the writer is
  report::Location location;                   ///< the slot, as it was named then
  ValueSource source;
  std::optional<SourcePlace> source_place;     ///< if source.kind is memory
  std::string value_meaning;                   ///< what the value was to a runtime then
};

/// The outcome of a search.
struct LastWriter {
  std::optional<WriterHit> writer;       ///< none: no write of this value was seen
  std::uint64_t matches = 0;             ///< writes of the value before the moment
  std::uint64_t writes = 0;              ///< writes of any value before the moment
  std::optional<replay::Position> entered;  ///< the activation's entry, if one was asked for and seen
  std::optional<std::uint64_t> entry_ordinal;
  /// The write is older than the activation that owns the slot. None if that could not be told.
  std::optional<bool> older_than_owner;
};

/// One forward pass, two more where the value is written very often. Errors: those of Replay::run.
[[nodiscard]] Result<LastWriter> find_last_writer(replay::Replay& replay, const ProcessImage& image,
                                                  const Slot& slot, const replay::Mark& before,
                                                  const std::optional<Activation>& owner,
                                                  std::chrono::milliseconds deadline,
                                                  report::Stats& stats);

/// Names `address` as a source at a stopped moment.
[[nodiscard]] SourcePlace describe_source(const ProcessImage& image, const Moment& moment,
                                          Address address, std::uint64_t size,
                                          const MemoryReader& memory);

}  // namespace culprit::provenance
