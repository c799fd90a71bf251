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

/// The activation that owns a slot at the moment of reading: its function's entry, where rsp is cfa
/// - 8.
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
  std::string no_debug_info;  ///< why that frame's variables have no names; empty: they do
};

/// An object of the program: a variable, or a heap block.
struct ObjectBounds {
  ByteRange range;
  report::Location location;               ///< named
  std::optional<replay::HeapBlock> block;  ///< for heap blocks, freed ones too
};

/// The object that holds `address` at a stopped moment. Nothing where no bounds are known.
[[nodiscard]] std::optional<ObjectBounds> object_at(const ProcessImage& image, const Moment& moment,
                                                    Address address, const replay::LiveState& live);

/// The array that `first` is an element of, if that is an array inside a larger object and `other`
/// is not in it. `first` and `other` are places of one object.
[[nodiscard]] std::optional<ObjectBounds> array_left(const ProcessImage& image,
                                                     const Moment& moment, Address first,
                                                     Address other, const replay::LiveState& live);

/// are_whole_parts() of the bytes that were written together. `range` is not empty.
[[nodiscard]] bool fills_whole_parts(const ProcessImage& image, const Moment& moment,
                                     const ByteRange& range, const replay::LiveState& live);

/// What a pointer was meant for, at a moment.
struct IntendedObject {
  std::optional<ObjectBounds> object;  ///< that holds the pointer
  std::optional<ObjectBounds> array;   ///< in the object: see array_left()
};

/// `stored`: where the store went.
[[nodiscard]] IntendedObject object_meant_at(const ProcessImage& image, const Moment& moment,
                                             Address pointer, Address stored,
                                             const replay::LiveState& live);

/// What object_meant_at() says of a pointer, asked while the replay stood there anyway.
struct SeenObject {
  Address pointer;
  IntendedObject meant;
};

/// One write of the slot, examined while the replay stood at it.
struct WriterHit {
  Moment moment;  ///< just after the store
  replay::Hit hit;
  std::optional<x86::WriterCandidate> writer;  ///< none for the kernel, or if it cannot be decoded
  binary::CodeLocation code;                   ///< of the writing instruction
  std::size_t frame = 0;                       ///< of moment.frames, in whose code the writer is
  report::Location location;                   ///< the slot, as it was named then
  ValueSource source;
  std::optional<SourcePlace> source_place;   ///< if source.kind is memory
  std::string value_meaning;                 ///< what the value was to a runtime then
  std::optional<replay::HeapBlocks> blocks;  ///< whose heap memory the slot was then
  /// Whose heap memory the value, taken as an address, pointed to then.
  std::optional<replay::HeapBlocks> value_blocks;

  /// The pointer that the store went through, if its operand has one.
  std::optional<std::uint64_t> pointer;
  std::optional<Gpr> pointer_register;
  ValueSource pointer_source;
  std::optional<SourcePlace> pointer_place;  ///< if that is memory
  /// The pointer is what its source held, nothing was added to it in between.
  bool pointer_direct = false;
  std::optional<ObjectBounds> slot_object;     ///< what holds the slot
  std::optional<ObjectBounds> pointer_object;  ///< what the pointer points into
  /// The array, inside an object, whose first element the operand names before its index is added.
  std::optional<ObjectBounds> array;
  /// What the operand names, as it was before its index was added.
  std::optional<SeenObject> named;
  /// The same at the moment before which the writer was searched for, in the types of the code
  /// there.
  std::vector<SeenObject> seen_by_reader;
  /// Writes of the same value that stopped at the same instruction with the same stack pointer
  /// since the thread's last system call, before this one. None if there were too many to tell.
  std::optional<std::uint64_t> repeats;
};

/// The part of the store's operand that went into `slot`, as a question about its source asks for
/// it.
[[nodiscard]] StoredBytes stored_bytes(const x86::WriterCandidate& writer, const Slot& slot);

/// The outcome of a search.
struct LastWriter {
  std::optional<WriterHit> writer;  ///< none: no write of this value was seen
  std::uint64_t matches = 0;        ///< writes of the value before the moment
  std::uint64_t writes = 0;         ///< writes of any value before the moment
  std::optional<replay::Position>
      entered;  ///< the activation's entry, if one was asked for and seen
  std::optional<std::uint64_t> entry_ordinal;
  /// The write is older than the activation that owns the slot. None if that could not be told.
  std::optional<bool> older_than_owner;
  /// Whose heap memory the slot was at the moment, if the heap's book was kept.
  std::optional<replay::HeapBlocks> blocks;
  /// The write is older than the newest heap block that held the slot then. None if that could not
  /// be told.
  std::optional<bool> older_than_block;
};

/// Examines the write that the replay stands at: `hit` is live, and `mark` finds it again. Of the
/// slot, address and size count, and the value is what the write left there.
[[nodiscard]] WriterHit examine_write(const ProcessImage& image, const Slot& slot,
                                      replay::Mark mark, const replay::Hit& hit,
                                      const replay::LiveState& live);

/// One forward pass, two more where the value is written very often. `with_heap`: the pass keeps
/// the heap's book, if the process has an allocator. `reader`: the moment of `before`, if somebody
/// read the slot there (see WriterHit::seen_by_reader). Errors: those of Replay::run.
[[nodiscard]] Result<LastWriter> find_last_writer(
    replay::Replay& replay, const ProcessImage& image, const Slot& slot, const replay::Mark& before,
    const std::optional<Activation>& owner, bool with_heap, std::chrono::milliseconds deadline,
    report::Stats& stats, const Moment* reader = nullptr);

/// Names `address` as a source at a stopped moment.
[[nodiscard]] SourcePlace describe_source(const ProcessImage& image, const Moment& moment,
                                          Address address, std::uint64_t size,
                                          const MemoryReader& memory);

}  // namespace culprit::provenance
