// Stores that were meant for another object than the one they went into.
#include <string>
#include <utility>

#include "provenance/chain.h"
#include "provenance/heap.h"
#include "provenance/library_contract.h"
#include "provenance/naming.h"
#include "provenance/object_writes.h"

namespace culprit::provenance {
namespace {

/// Pointers of so many stores are followed with passes of their own; the rest is judged by what the
/// stopped moment tells.
constexpr int kMaxPointersChecked = 2;
/// Nothing that is larger is a part of an object.
constexpr std::uint64_t kMostFilled = std::uint64_t{1} << 30;

bool recycled(const replay::HeapBlocks& blocks) { return blocks.holding.size() >= 2; }

bool goes_out_of(const std::optional<ObjectBounds>& object, std::uint64_t pointer, Address stored) {
  return object && object->range.contains(Address{pointer}) && !object->range.contains(stored);
}

const x86::MemOperand* operand_of(const WriterHit& writer) {
  const auto& memory = writer.writer->instruction.memory;
  return writer.writer->operand < memory.size() ? &memory[writer.writer->operand] : nullptr;
}

/// The register that the store's operand adds to its pointer.
std::optional<Gpr> index_of(const WriterHit& writer) {
  const x86::MemOperand* operand = operand_of(writer);
  if (operand == nullptr || !operand->index) return std::nullopt;
  return writer.pointer_register == operand->index ? operand->base : operand->index;
}

/// One element of an array at a time: no copy of a whole object.
bool stores_an_element(const WriterHit& writer) {
  return !writer.writer->instruction.repeated && writer.writer->written &&
         writer.writer->written->size <= 8;
}

}  // namespace

/// In the types that the reader of the slot knows: the array that `pointer` points into, if the
/// store left it.
std::optional<ObjectBounds> Chain::array_by_reader(const Link::Reader* reader,
                                                   std::uint64_t pointer, Address stored,
                                                   const std::vector<SeenObject>& seen) {
  if (reader == nullptr) return std::nullopt;
  for (const SeenObject& known : seen) {
    if (known.pointer == Address{pointer}) return known.meant.array;
  }
  auto meant = object_meant(replay_, *image_, reader->moment, Address{pointer}, stored, remaining(),
                            report_.stats);
  if (!meant.ok()) return std::nullopt;
  return std::move(meant->array);
}

Chain::MeantElsewhere Chain::meant_elsewhere(const WriterHit& writer, Address stored,
                                             const Link::Reader* reader) {
  MeantElsewhere out;
  // With a displacement the operand names a member of an object, or an element before the first.
  const auto ask_reader = [&](std::uint64_t first, std::uint64_t disp) {
    out.intended = array_by_reader(reader, first + disp, stored, writer.seen_by_reader);
    if (!out.intended && disp != 0)
      out.intended = array_by_reader(reader, first, stored, writer.seen_by_reader);
    out.by_reader = out.intended.has_value();
  };
  const bool reused = writer.blocks && recycled(*writer.blocks);
  const bool fits = writer.pointer_object && writer.slot_object &&
                    writer.pointer_object->range == writer.slot_object->range;
  // A pointer to the start of its object has not been moved along it.
  const bool at_start = fits && writer.pointer == writer.pointer_object->range.start.value;
  const x86::MemOperand* operand = operand_of(writer);
  const bool indexed = operand != nullptr && operand->index.has_value();
  if (writer.array && stores_an_element(writer)) {
    out.intended = writer.array;
    return out;
  }
  if (writer.pointer_direct && writer.pointer &&
      goes_out_of(writer.pointer_object, *writer.pointer, stored)) {
    out.intended = writer.pointer_object;
    return out;
  }
  begin_phase("finding out which object the store was meant for");
  auto call = find_buffer_call(replay_, *image_, writer.moment, remaining(), report_.stats);
  if (call.ok() && *call) {
    out.call = **call;
    const std::uint64_t buffer = (*call)->destination;
    std::optional<ByteRange> filled;
    if (const auto length = (*call)->length; length && *length != 0 && *length <= kMostFilled)
      filled = ByteRange{Address{buffer}, *length};
    auto meant = object_meant(replay_, *image_, writer.moment, Address{buffer}, stored, remaining(),
                              report_.stats, filled);
    if (!meant.ok()) return out;
    if (goes_out_of(meant->object, buffer, stored)) {
      out.intended = std::move(meant->object);
    } else if (filled) {
      out.intended = std::move(meant->array);
      out.by_length = out.intended.has_value();
    } else if ((*call)->contract.text) {
      out.intended = std::move(meant->array);
      if (!out.intended) ask_reader(buffer, 0);
    }
    return out;
  }
  if (writer.pointer && writer.pointer_direct && fits && (at_start || !writer.pointer_register)) {
    if (reused && writer.pointer_source.kind == ValueSource::Kind::memory) {
      auto made = block_of_old_pointer({writer.pointer_source, writer.pointer_place, {}},
                                       *writer.pointer, writer.moment, *writer.blocks);
      if (made.ok()) out.old = *std::move(made);
    }
    if (!out.old && indexed && stores_an_element(writer)) {
      const auto disp = static_cast<std::uint64_t>(operand->base ? operand->disp : 0);
      ask_reader(*writer.pointer, disp);
    }
    return out;
  }
  if (pointers_checked_ >= kMaxPointersChecked || !writer.pointer_register) return out;
  ++pointers_checked_;
  auto pointer = pointer_of_access(replay_, *image_, writer.moment, writer.frame,
                                   writer.writer->instruction.address, *writer.pointer_register,
                                   true, kAside, remaining(), report_.stats, answers_);
  if (!pointer.ok() || !*pointer) return out;
  const std::uint64_t value = (*pointer)->value;
  const bool moved = writer.pointer && value != *writer.pointer;
  const auto disp = static_cast<std::uint64_t>(indexed && operand->base ? operand->disp : 0);
  const bool known = writer.named && writer.named->pointer == Address{value + disp};
  auto meant = known ? Result<IntendedObject>(writer.named->meant)
                     : object_meant(replay_, *image_, writer.moment, Address{value + disp}, stored,
                                    remaining(), report_.stats);
  if (!meant.ok()) return out;
  if (goes_out_of(meant->object, value, stored)) {
    out.intended = std::move(meant->object);
  } else if ((moved || indexed) && meant->array && stores_an_element(writer)) {
    out.intended = std::move(meant->array);
  } else if (reused) {
    auto made = block_of_old_pointer((*pointer)->source, value, writer.moment, *writer.blocks);
    if (made.ok()) out.old = *std::move(made);
    // What the function was given as an argument: its caller had it from somewhere.
    if (!out.old && (*pointer)->source.source.kind == ValueSource::Kind::register_) {
      auto given = pointer_of_access(replay_, *image_, writer.moment, writer.frame,
                                     writer.writer->instruction.address, *writer.pointer_register,
                                     false, kAside, remaining(), report_.stats, answers_);
      if (given.ok() && *given) {
        made =
            block_of_old_pointer((*given)->source, (*given)->value, writer.moment, *writer.blocks);
        if (made.ok()) out.old = *std::move(made);
      }
    }
  }
  if (!out.intended && !out.old && (moved || indexed) && stores_an_element(writer)) {
    ask_reader(value, disp);
  }
  return out;
}

/// The store was meant for another object, or went through a pointer to a block that was freed
/// before.
bool Chain::written_through_bad_pointer(const LastWriter& found, const ResolvedSource& resolved) {
  if (!found.writer || !found.writer->writer || found.writer->hit.kernel ||
      in_write_barrier_buffer(found.writer->location) ||
      in_allocator(*image_, found.writer->moment.frames)) {
    return false;
  }
  const WriterHit& writer = *found.writer;
  const Slot slot = link_->slot;
  expect_ways_of_store(writer);
  MeantElsewhere meant =
      meant_elsewhere(writer, slot.address, link_->reader ? &*link_->reader : nullptr);
  if (!meant.intended && !meant.old) return through_overwritten_pointer(found, resolved);
  add_writer(writer, resolved);
  const auto store = static_cast<std::uint32_t>(report_.hops.size() - 1);
  if (meant.intended && meant.intended->block && meant.intended->block->released) {
    // The pointer's own block had been freed: that it missed what is there now is chance.
    meant.old = meant.intended->block;
  }
  if (meant.old) {
    report_.hops.push_back(block_hop(*image_, *meant.old, true, writer.location));
    stop(report::StopReason::origin_found,
         "the store went through a pointer to a block that had been freed");
  } else {
    add_intended(meant, slot);
    const auto allocation = static_cast<std::uint32_t>(report_.hops.size() - 1);
    add_step_before_end(writer, *meant.intended, store);
    if (meant.call) {
      add_length_of_call(*meant.call, store);
    } else {
      add_way_of_index(writer, store);
    }
    if (const auto& block = meant.intended->block; block && slot.address >= block->range.end())
      add_size_of_block(*block, writer.moment.mark, allocation);
    stop(report::StopReason::origin_found, "the store was meant for another object");
  }
  return true;
}

void Chain::add_intended(const MeantElsewhere& meant, const Slot& stored) {
  report_.hops.push_back(intended_object_hop(*image_, *meant.intended, stored));
  report::Hop& hop = report_.hops.back();
  if (meant.by_length) {
    hop.confidence = report::Confidence::likely;
    hop.note += "; so many bytes are no whole struct or array that it is a part of";
  }
  if (!meant.by_reader) return;
  hop.confidence = report::Confidence::likely;
  hop.note += "; that it is an array is told by the types of the code that read the slot";
}

void Chain::add_step_before_end(const WriterHit& writer, const ObjectBounds& object,
                                std::uint32_t store) {
  begin_phase("looking whether the store was the last step of a run over the object");
  auto step =
      find_step_before_end(replay_, *image_, writer, object.range, remaining(), report_.stats);
  if (!step.ok() || !*step) return;
  const WriterHit& before = **step;
  const Slot element{before.location.address, static_cast<std::uint32_t>(before.location.size),
                     before.hit.value_after};
  report::Hop hop =
      writer_hop(*image_, before, element, before.source, before.source_place, style_);
  hop.summary += "; the step before, into the last element";
  add_side(std::move(hop), store);
}

/// A window that tells where the store's pointer came from is asked for what was stored, and for
/// the index, as well: one of the two is asked next.
void Chain::expect_ways_of_store(const WriterHit& writer) {
  const Address pc = writer.writer->instruction.address;
  if (const auto index = index_of(writer)) {
    expect_register_at(writer.moment, writer.frame, pc, *index, false, answers_);
  }
  const ValueSource::Kind kind = writer.source.kind;
  if (kind == ValueSource::Kind::register_ || kind == ValueSource::Kind::unknown ||
      kind == ValueSource::Kind::arithmetic) {
    const StoredBytes stored = stored_bytes(*writer.writer, link_->slot);
    expect_by_window(*image_, writer.moment, {writer.frame, pc, true, stored}, link_->slot.value,
                     answers_);
  }
}

void Chain::add_way_of_index(const WriterHit& writer, std::uint32_t store) {
  const auto index = index_of(writer);
  if (!index) return;
  begin_phase("finding where the index came from");
  auto made = resolve_register_at(replay_, *image_, writer.moment, writer.frame,
                                  writer.writer->instruction.address, *index, false, kAside,
                                  remaining(), report_.stats, answers_);
  if (!made.ok()) return;
  const std::uint64_t value = made->source.value.value_or(0);
  follow_copies(*std::move(made), writer.moment, value, store, "the index");
}

/// The pointer that the store went through had itself been overwritten by a store meant for another
/// object.
bool Chain::through_overwritten_pointer(const LastWriter& found, const ResolvedSource& resolved) {
  const WriterHit& writer = *found.writer;
  ResolvedSource where{writer.pointer_source, writer.pointer_place};
  if (first_link_ && where.source.kind == ValueSource::Kind::load) {
    auto better =
        resolve_load(replay_, *image_, writer.moment, where.source, remaining(), report_.stats);
    if (better.ok()) where = *std::move(better);
  }
  const ValueSource& pointer = where.source;
  // A local pointer is the writer's own affair.
  if (!first_link_ || !writer.pointer || pointer.kind != ValueSource::Kind::memory ||
      !pointer.address || pointer.size != 8 || writer.moment.frame_of(*pointer.address)) {
    return false;
  }
  begin_phase("finding out who made the pointer that the store went through");
  const Slot slot{*pointer.address, 8, *writer.pointer};
  auto made = last_writer(slot, writer.moment.mark, std::nullopt, true);
  if (!made.ok() || !made->writer || made->writer->hit.kernel || !made->writer->writer ||
      in_allocator(*image_, made->writer->moment.frames)) {
    return false;
  }
  const WriterHit& first = *made->writer;
  const Link::Reader reader{writer.moment, writer.frame, pointer.pc, {}, false};
  const MeantElsewhere meant = meant_elsewhere(first, slot.address, &reader);
  if (!meant.intended) return false;
  add_writer(writer, resolved);
  report_.hops.push_back(
      writer_hop(*image_, first, slot, first.source, first.source_place, style_));
  const auto store = static_cast<std::uint32_t>(report_.hops.size() - 1);
  add_intended(meant, slot);
  add_step_before_end(first, *meant.intended, store);
  add_way_of_index(first, store);
  stop(report::StopReason::origin_found,
       "the store went through a pointer that a store meant for another object had overwritten");
  return true;
}

}  // namespace culprit::provenance
