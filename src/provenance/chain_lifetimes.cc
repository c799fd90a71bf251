// What became of the objects on the way: freed, handed out again, never filled in, written past.
#include <algorithm>
#include <string>
#include <utility>

#include "provenance/chain.h"
#include "provenance/heap.h"
#include "provenance/naming.h"
#include "provenance/object_writes.h"

namespace culprit::provenance {
namespace {

/// Copies of a pointer that are looked at, to find one that was made while its block lived.
constexpr int kMaxCopies = 6;

/// The call of the allocator that a value came out of, among the newest blocks.
const replay::HeapBlock* block_from_call(const ResolvedSource& source,
                                         const replay::HeapBlocks& blocks,
                                         const ProcessImage& image) {
  if (!in_allocator(image, source.frames)) return nullptr;
  for (const replay::HeapBlock& block : blocks.holding) {
    const Registers& r = block.allocated.registers;
    for (const WalkFrame& f : source.frames) {
      if (f.code.entry == r.pc() && f.frame.cfa && f.frame.cfa->value == r.sp().value + 8)
        return &block;
    }
  }
  return nullptr;
}

}  // namespace

bool Chain::lifetimes(const LastWriter& found, ResolvedSource& resolved) {
  return written_after_release(found, resolved) || read_after_release(found, resolved) ||
         never_written_in_block(found, resolved) || read_through_old_pointer(found, resolved) ||
         written_through_bad_pointer(found, resolved);
}

/// The writer wrote into a block that had been freed.
bool Chain::written_after_release(const LastWriter& found, const ResolvedSource& resolved) {
  if (!found.writer) return false;
  const WriterHit& writer = *found.writer;
  if (!writer.blocks || writer.blocks->holding.empty() ||
      !writer.blocks->holding.front().released || in_allocator(*image_, writer.moment.frames)) {
    return false;
  }
  add_writer(writer, resolved);
  report_.hops.push_back(block_hop(*image_, writer.blocks->holding.front(), true, writer.location));
  stop(report::StopReason::origin_found, "the slot was written after its block had been freed");
  return true;
}

/// The slot was read from a block that had been freed.
bool Chain::read_after_release(const LastWriter& found, const ResolvedSource& resolved) {
  const Link& link = *link_;
  if (!found.blocks || found.blocks->holding.empty() || !found.blocks->holding.front().released ||
      (link.reader && link.reader->in_allocator)) {
    return false;
  }
  if (found.writer) {
    add_writer(*found.writer, resolved);
  }
  report_.hops.push_back(
      block_hop(*image_, found.blocks->holding.front(), true, link.place.location));
  if (link.reader) add_way_of_pointer(*link.reader);
  stop(report::StopReason::origin_found, "the slot was read after its block had been freed");
  return true;
}

void Chain::add_write_beside(const report::Location& about, const std::optional<Activation>& owner,
                             const Slot& slot, const replay::Mark& before) {
  if (!about.owner || !about.owner->object || !about.owner->object_size) return;
  const auto stale = static_cast<std::uint32_t>(report_.hops.size() - 1);
  // A write barrier reads what it is about to overwrite: the object is being filled in just then.
  if (stale > 0 && report_.hops[stale - 1].kind == report::HopKind::runtime_store) return;
  const ByteRange object{*about.owner->object, *about.owner->object_size};
  auto beside =
      find_write_beside(replay_, *image_, slot, object, before, owner, remaining(), report_.stats);
  if (!beside.ok() || !*beside) return;
  const WriterHit& writer = **beside;
  const Slot word{writer.location.address, static_cast<std::uint32_t>(writer.location.size),
                  writer.hit.value_after};
  report::Hop hop = writer_hop(*image_, writer, word, writer.source, writer.source_place, style_);
  hop.summary += "; another part of the same object, in its life";
  add_side(std::move(hop), stale);
}

/// The block was handed out, and nobody wrote this part of it.
bool Chain::never_written_in_block(const LastWriter& found, ResolvedSource& resolved) {
  if (!found.older_than_block.value_or(false)) return false;
  const replay::HeapBlock& block = found.blocks->holding.front();
  const Link link = *link_;
  const replay::HeapFunction* function = function_of(*image_, block.allocated);
  const bool cleared =
      function != nullptr && function->role == replay::HeapRole::allocate_array;
  if (cleared && link.slot.value == 0) {
    // calloc's promise, kept without a store: the pages are new.
    report_.hops.push_back(block_hop(*image_, block, false, link.place.location));
    report_.hops.back().summary += ", cleared; nothing was stored there since";
    stop(report::StopReason::mapping_created,
         "calloc cleared the block, and nobody wrote the slot");
    return true;
  }
  report_.hops.push_back(
      stale_block_hop(*image_, link.slot, link.place, found, report_.hops.back()));
  const report::Location about = *report_.hops.back().location;
  add_write_beside(about, std::nullopt, link.slot, link.before);
  if (found.writer) {
    WriterHit writer = *found.writer;
    if (!writer.hit.kernel) resolve_origin(writer, resolved, link.slot);
    add_writer(writer, resolved);
  }
  stop(report::StopReason::origin_found, "the bytes are older than the block that holds them");
  return true;
}

Result<std::optional<replay::HeapBlock>> Chain::block_of_old_pointer(
    ResolvedSource pointer, std::uint64_t value, Moment moment, const replay::HeapBlocks& now) {
  const std::optional<replay::HeapBlock> nothing;
  const replay::HeapBlock* there = living_block(now);
  if (there == nullptr) return nothing;
  // A copy that was made after the new block was handed out tells nothing: an earlier copy may.
  for (int copy = 0; copy < kMaxCopies; ++copy) {
    if (const replay::HeapBlock* made = block_from_call(pointer, now, *image_)) {
      return made->allocated.ordinal < there->allocated.ordinal ? std::optional(*made) : nothing;
    }
    const ValueSource& source = pointer.source;
    const bool from_memory = source.kind == ValueSource::Kind::memory ||
                             (source.kind == ValueSource::Kind::arithmetic && source.value);
    if (!from_memory || !source.address || source.size != 8) return nothing;
    if (source.kind == ValueSource::Kind::arithmetic) value = *source.value;
    const Slot slot{*source.address, 8, value};
    // The owner is for those who follow the same pointer later.
    std::optional<Activation> owner;
    if (pointer.place) owner = pointer.place->activation;
    CULPRIT_ASSIGN(LastWriter stored, last_writer(slot, moment.mark, owner, true));
    if (!stored.writer || !stored.writer->writer || !stored.writer->value_blocks) return nothing;
    WriterHit& writer = *stored.writer;
    const replay::HeapBlock* then = living_block(*writer.value_blocks);
    if (then == nullptr) return nothing;
    if (then->allocated.ordinal < there->allocated.ordinal) {
      // The list of now knows of its release.
      for (const replay::HeapBlock& block : now.holding) {
        if (block.allocated.ordinal == then->allocated.ordinal) return std::optional(block);
      }
      return nothing;
    }
    const ValueQuestion question{writer.frame, writer.writer->instruction.address, true,
                                 stored_bytes(*writer.writer, slot)};
    CULPRIT_ASSIGN(pointer,
                   resolve(writer.moment, question, writer.source, writer.source_place, value));
    moment = std::move(writer.moment);
  }
  return nothing;
}

/// The slot is in a living block, and the pointer that was used to read it is older than that
/// block: it was made for one that has been freed since.
bool Chain::read_through_old_pointer(const LastWriter& found, const ResolvedSource& resolved) {
  const Link& link = *link_;
  if (!link.reader || !link.reader->pointer || link.reader->in_allocator || !found.blocks ||
      found.blocks->holding.size() < 2 || living_block(*found.blocks) == nullptr || !first_link_) {
    return false;
  }
  begin_phase("finding out whom the pointer to the bad value was made for");
  auto pointer = pointer_of_access(replay_, *image_, link.reader->moment, link.reader->frame,
                                   link.reader->pc, *link.reader->pointer, false, WindowLimits{},
                                   remaining(), report_.stats, answers_);
  if (!pointer.ok() || !*pointer) return false;
  auto old = block_of_old_pointer((*pointer)->source, (*pointer)->value, link.reader->moment,
                                  *found.blocks);
  if (!old.ok() || !*old) return false;
  if (found.writer) {
    add_writer(*found.writer, resolved);
  }
  report_.hops.push_back(block_hop(*image_, **old, true, link.place.location));
  follow_pointer((*pointer)->source, link.reader->moment, (*pointer)->value, 0);
  stop(report::StopReason::origin_found,
       "the slot was read through a pointer to a block that had been freed; its memory had a new "
       "owner");
  return true;
}

}  // namespace culprit::provenance
