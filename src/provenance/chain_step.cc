#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/syscall_names.h"
#include "provenance/chain.h"
#include "provenance/copy_contract.h"
#include "provenance/heap.h"
#include "provenance/naming.h"
#include "provenance/probes.h"

namespace culprit::provenance {

/// Tries harder where the stopped moment alone did not tell the source.
Result<ResolvedSource> Chain::resolve(const Moment& moment, const ValueQuestion& question,
                                      const ValueSource& source,
                                      const std::optional<SourcePlace>& place,
                                      std::uint64_t value) {
  ResolvedSource resolved{source, place};
  if (source.kind == ValueSource::Kind::load) {
    CULPRIT_ASSIGN(resolved,
                   resolve_load(replay_, *image_, moment, source, remaining(), report_.stats));
  }
  const ValueSource::Kind kind = resolved.source.kind;
  if (kind == ValueSource::Kind::load || kind == ValueSource::Kind::register_ ||
      kind == ValueSource::Kind::unknown || kind == ValueSource::Kind::arithmetic) {
    ValueQuestion asked = question;
    if (source.returned && source.frame == question.frame) asked.returned_by = source.pc;
    CULPRIT_ASSIGN(ResolvedSource window,
                   resolve_by_window(replay_, *image_, moment, asked, value, WindowLimits{},
                                     remaining(), report_.stats, answers_));
    // The window's answer counts if it says more than the straight-line one did.
    if (window.source.kind != ValueSource::Kind::unknown) return window;
  }
  return resolved;
}

Result<ResolvedSource> Chain::resolve_stored(const ValueQuestion& question,
                                             const WriterHit& writer) {
  if (writer.source.kind != ValueSource::Kind::memory) {
    CULPRIT_ASSIGN(auto copied, resolve_copy(replay_, *image_, writer, link_->slot, remaining(),
                                             report_.stats));
    if (copied) return *std::move(copied);
  }
  return resolve(writer.moment, question, writer.source, writer.source_place, link_->slot.value);
}

Result<LastWriter> Chain::last_writer(const Slot& slot, const replay::Mark& before,
                                      const std::optional<Activation>& owner, bool with_heap,
                                      const Moment* reader) {
  const auto same_owner = [&](const PastSearch& past) {
    // What is known of an owner does not hurt those who did not ask.
    return !owner || (past.owner && past.owner->entry == owner->entry &&
                      past.owner->cfa == owner->cfa && past.owner->thread == owner->thread);
  };
  for (const PastSearch& past : searches_) {
    if (past.process == image_->process() && past.slot.address == slot.address &&
        past.slot.size == slot.size && past.slot.value == slot.value &&
        same_moment(past.before, before) && same_owner(past) && (past.with_heap || !with_heap)) {
      return past.found;
    }
  }
  CULPRIT_ASSIGN(LastWriter found, find_last_writer(replay_, *image_, slot, before, owner,
                                                    with_heap, remaining(), report_.stats, reader));
  searches_.push_back({image_->process(), slot, before, owner, with_heap, found});
  return found;
}

/// The origin of a stale value is worth one more look: compilers spill, so the store's own source
/// is often a nameless slot of the same frame. Follow at most two of those.
void Chain::resolve_origin(WriterHit& writer, ResolvedSource& resolved, const Slot& slot) {
  for (int spills = 0; spills < 2; ++spills) {
    if (resolved.source.kind != ValueSource::Kind::memory || !resolved.place) return;
    const auto& owner = resolved.place->location.owner;
    const auto frame = writer.moment.frame_of(*resolved.source.address);
    if (!frame || *frame != writer.frame || (owner && !owner->variable.empty() && spills > 0))
      return;
    const Slot spill{*resolved.source.address, std::min<std::uint32_t>(resolved.source.size, 8),
                     low_bytes(slot.value, resolved.source.offset, resolved.source.size)};
    auto found = find_last_writer(replay_, *image_, spill, writer.moment.mark, std::nullopt, false,
                                  remaining(), report_.stats);
    if (!found.ok() || !found->writer || found->writer->hit.kernel) return;
    WriterHit& inner = *found->writer;
    const bool same_frame =
        !inner.moment.frames.empty() && !writer.moment.frames.empty() &&
        inner.moment.frames[inner.frame].frame.cfa == writer.moment.frames[writer.frame].frame.cfa;
    if (!same_frame || inner.source.kind == ValueSource::Kind::unknown ||
        inner.source.kind == ValueSource::Kind::register_) {
      return;
    }
    resolved = ResolvedSource{std::move(inner.source), std::move(inner.source_place)};
    if (writer.value_meaning.empty()) writer.value_meaning = inner.value_meaning;
  }
}

/// A value that was made in other code than that which stored or used it has its birth place named.
void Chain::born(const ResolvedSource& resolved, const binary::CodeLocation& writer,
                 std::uint64_t value) {
  const ValueSource& source = resolved.source;
  if (!source.pc || writer.function.contains(source.pc)) return;
  report_.hops.push_back(origin_hop(*image_, source, resolved.frames, value, report_.hops.back()));
}

/// No write of the value was seen: what was there before the first instruction, or before the
/// mapping?
void Chain::no_writer(const LastWriter& found) {
  const Link& link = *link_;
  if (found.older_than_owner && *found.older_than_owner && found.writes == 0) {
    report_.hops.push_back(stale_hop(*image_, link.slot, link.place, found, report_.hops.back()));
    add_write_beside(link.place.location, link.place.activation, link.slot, link.before);
    return stop(report::StopReason::origin_found, "the frame's bytes were never written at all");
  }
  // The value was read from the slot itself, with the replay standing at the crash.
  const bool seen_there = first_link_ && scene_.named_value == link.slot.value &&
                          scene_.named_place && scene_.named_address == link.slot.address;
  if (found.writes > 0 && seen_there) {
    add_last_store(link.before, static_cast<std::uint32_t>(report_.hops.size() - 1));
    return stop(
        report::StopReason::unexplained_change,
        fmt::format(
            "all {} writes of these bytes were seen, by instructions, system calls, changes of the "
            "mapping and other processes; none of them left {}, which was there at the crash",
            found.writes, to_hex(link.slot.value)));
  }
  if (found.writes > 0) {
    return stop(report::StopReason::writer_not_found,
                fmt::format("{} writes to the slot were seen, none of {}", found.writes,
                            to_hex(link.slot.value)));
  }
  report::Hop hop;
  hop.kind = report::HopKind::initial_image;
  hop.location = link.place.location;
  hop.value_after = link.slot.value;
  hop.position = report_.hops.back().position;
  hop.confidence = report::Confidence::proved;
  const report::RegionKind region = link.place.location.region;
  if (region == report::RegionKind::global || region == report::RegionKind::code) {
    hop.summary = fmt::format("{} has held {} since the program's file was loaded",
                              name_of(link.place.location), to_hex(link.slot.value));
    hop.note = "no write to these bytes was seen from the start of the recording";
    report_.hops.push_back(std::move(hop));
    return stop(report::StopReason::initial_image, "no instruction ever wrote the slot");
  }
  if (link.slot.value == 0) {
    hop.summary = fmt::format("{} was never written: it is zero since its mapping was made",
                              name_of(link.place.location));
    report_.hops.push_back(std::move(hop));
    return stop(report::StopReason::mapping_created, "no instruction ever wrote the slot");
  }
  hop.summary = fmt::format("{} has held {} since before the first write that the recording shows",
                            name_of(link.place.location), to_hex(link.slot.value));
  report_.hops.push_back(std::move(hop));
  stop(region == report::RegionKind::stack ? report::StopReason::initial_image
                                           : report::StopReason::start_of_recording,
       "no write to the slot was seen");
}

void Chain::narrow_to_written(WriterHit& writer) {
  Slot& slot = link_->slot;
  if (!writer.writer || !writer.writer->written || writer.hit.kernel) return;
  const ByteRange written = *writer.writer->written;
  const Slot whole = slot;
  const std::uint64_t begin = std::max(written.start.value, slot.address.value);
  const std::uint64_t end = std::min(written.end().value, slot.address.value + slot.size);
  if (begin >= end || end - begin == slot.size) return;
  const auto offset = static_cast<std::uint32_t>(begin - slot.address.value);
  const auto size = static_cast<std::uint32_t>(end - begin);
  slot = Slot{Address{begin}, size, low_bytes(whole.value, offset, size)};
  link_->place.location.address = slot.address;
  link_->place.location.size = slot.size;
  writer.location.address = slot.address;
  writer.location.size = slot.size;
  const std::uint32_t first = bytes_ ? bytes_->first : 0;
  bytes_ = report::ValueBytes{first + offset, size};
  side_ = explain_rest(whole, ByteRange{slot.address, size}, writer);
}

namespace {

/// The largest naturally aligned 1, 2, 4 or 8 bytes at the range's end: what one debug register can
/// watch.
ByteRange aligned_part(const ByteRange& range) {
  for (const std::uint64_t size : std::initializer_list<std::uint64_t>{8, 4, 2, 1}) {
    const std::uint64_t start = (range.end().value - size) & ~(size - 1);
    if (range.size >= size && start >= range.start.value) return ByteRange{Address{start}, size};
  }
  return range;
}

}  // namespace

std::optional<report::Hop> Chain::explain_rest(const Slot& whole, const ByteRange& part,
                                               const WriterHit& writer) {
  // The longer of the two sides tells most.
  const std::uint64_t end = whole.address.value + whole.size;
  const ByteRange below{whole.address, part.start.value - whole.address.value};
  const ByteRange above{part.end(), end - part.end().value};
  const ByteRange rest = aligned_part(above.size >= below.size ? above : below);
  const auto offset = static_cast<std::uint32_t>(rest.start - whole.address);
  const auto size = static_cast<std::uint32_t>(rest.size);
  const Slot other{rest.start, size, low_bytes(whole.value, offset, size)};
  begin_phase("finding who wrote the other bytes");
  auto found = find_last_writer(replay_, *image_, other, link_->before, std::nullopt, false,
                                remaining(), report_.stats);
  if (!found.ok() || !found->writer) return std::nullopt;
  const WriterHit& first = *found->writer;
  const bool same = first.writer && writer.writer &&
                    first.writer->instruction.address == writer.writer->instruction.address;
  if (same) return std::nullopt;  // one loop wrote them all
  report::Hop hop = writer_hop(*image_, first, other, first.source, first.source_place, style_);
  hop.main_line = false;
  hop.parent = static_cast<std::uint32_t>(report_.hops.size() - 1);
  hop.bytes = report::ValueBytes{offset, size};
  return hop;
}

std::uint32_t Chain::add_side(report::Hop hop, std::uint32_t parent) {
  hop.main_line = false;
  hop.parent = parent;
  report_.hops.push_back(std::move(hop));
  return static_cast<std::uint32_t>(report_.hops.size() - 1);
}

void Chain::add_writer(const WriterHit& writer, const ResolvedSource& resolved) {
  // The side branch first: what follows explains the last hop.
  if (side_) report_.hops.push_back(*std::move(side_));
  side_.reset();
  report_.hops.push_back(
      writer_hop(*image_, writer, link_->slot, resolved.source, resolved.place, style_));
  report_.hops.back().bytes = bytes_;
  add_earlier_life(report_.hops.back(), writer.moment.position);
}

bool Chain::step() {
  if (!link_->place.no_debug_info.empty()) image_->warn(link_->place.no_debug_info);
  if (follow_shared_memory()) return true;
  begin_phase(fmt::format("finding the last writer of {}", name_of(link_->place.location)));
  const auto search = [&] {
    return last_writer(link_->slot, link_->before, link_->place.activation, true,
                       link_->reader ? &link_->reader->moment : nullptr);
  };
  auto found = search();
  if (!found.ok() && found.error().code == ErrorCode::replay_failed && image_->heap() != nullptr) {
    // A program that looks at its own code sees the breakpoints on the allocator.
    image_->give_up_heap(
        "the replay failed with the allocator's calls followed: heap blocks were not");
    found = search();
  }
  if (!found.ok()) {
    stop(found.error());
    return false;
  }
  if (found->blocks) {
    found->blocks = without_replaced(*image_, *std::move(found->blocks), link_->place.location);
    if (found->blocks->holding.empty()) found->older_than_block.reset();
    add_block(*image_, *found->blocks, link_->place.location);
  }
  if (found->writer) narrow_to_written(*found->writer);
  const Link link = *link_;
  if (!found->writer) {
    const bool younger_than_owner = !found->older_than_owner.value_or(false) &&
                                    !found->older_than_block;
    if (found->writes == 0 && younger_than_owner && follow_fork()) return true;
    ResolvedSource none;
    if (!lifetimes(*found, none)) no_writer(*found);
    return false;
  }
  WriterHit& writer = *found->writer;
  ResolvedSource resolved{writer.source, writer.source_place};
  const bool stale = found->older_than_owner.value_or(false);

  // A slot of no living frame of the reader, written as a part of a frame: that one has ended
  // since.
  const report::RegionKind read_region = link.place.location.region;
  const bool outlived =
      !writer.hit.kernel && writer.location.region == report::RegionKind::stack &&
      writer.location.owner && !link.place.activation && link.reader &&
      (read_region == report::RegionKind::stack || read_region == report::RegionKind::mapping);
  if (outlived) {
    add_writer(writer, resolved);
    report::Hop& hop = report_.hops.back();
    report::LifeEvent died;
    died.description = fmt::format("the frame of {} had ended when the slot was read",
                                   hop.location->owner->function);
    hop.location->owner->life.died = std::move(died);
    hop.location->owner->life.alive_at_write = true;
    explain_dead_frame(*link.reader, link.slot.address);
    stop(report::StopReason::origin_found, "the slot is in a stack frame that had ended");
    return false;
  }

  // The compiler knows every variable of the owner's frame, and none of them is at the slot:
  // whoever read it came through a pointer into a frame that has ended, whose place another one has
  // taken.
  const auto& owner = link.place.location.owner;
  const bool dangling = stale && link.place.no_debug_info.empty() && owner && link.reader &&
                        link.reader->pointer && owner->variable.empty() && !writer.hit.kernel;
  if (dangling) {
    add_writer(writer, resolved);
    report::Hop& hop = report_.hops.back();
    if (hop.location && hop.location->owner) {
      report::LifeEvent died;
      if (found->entered) died.position = report_position(*image_, *found->entered, nullptr);
      died.description = fmt::format("frame of {} had ended when {} was entered",
                                     hop.location->owner->function, owner->function);
      hop.location->owner->life.died = std::move(died);
      hop.location->owner->life.alive_at_write = true;
    }
    explain_dead_frame(*link.reader, link.slot.address);
    stop(report::StopReason::origin_found, "the slot is in a stack frame that had ended");
    return false;
  }
  if (stale) {
    report_.hops.push_back(stale_hop(*image_, link.slot, link.place, *found, report_.hops.back()));
    add_write_beside(link.place.location, link.place.activation, link.slot, link.before);
    if (!writer.hit.kernel) {
      begin_phase("finding where the stale value came from");
      resolve_origin(writer, resolved, link.slot);
    }
    add_writer(writer, resolved);
    stop(report::StopReason::origin_found);
    return false;
  }
  if (ends_at_writer_) {
    add_writer(writer, resolved);
    stop(report::StopReason::origin_found);
    return false;
  }
  if (given_up_by_collector(*found, resolved)) return false;
  if (lifetimes(*found, resolved)) return false;
  if (writer.hit.kernel) {
    return end_at_kernel(writer, resolved);
  }

  if (writer.writer) {
    begin_phase("slicing back from the writer");
    const StoredBytes stored = stored_bytes(*writer.writer, link.slot);
    auto better =
        resolve_stored({writer.frame, writer.writer->instruction.address, true, stored}, writer);
    if (!better.ok()) {
      add_writer(writer, resolved);
      stop(better.error());
      return false;
    }
    resolved = *std::move(better);
  }
  if (resolved.source.partial) {
    const std::uint32_t first = bytes_ ? bytes_->first : 0;
    bytes_ = report::ValueBytes{first + resolved.source.offset,
                                std::max<std::uint32_t>(resolved.source.size, 1)};
  }
  add_writer(writer, resolved);
  first_link_ = false;
  if (came_from_allocator(resolved, writer.moment)) return false;
  return go_on(resolved, writer.moment, writer.code, link.slot.value);
}

/// How the allocator comes by a block is its own affair: the chain ends where it handed the block
/// out. A null is no block: why there was none is told by what it was asked for.
bool Chain::came_from_allocator(const ResolvedSource& resolved, const Moment& user) {
  if (link_->slot.value == 0 || link_->slot.size < 8 || !in_allocator(*image_, resolved.frames) ||
      in_allocator(*image_, user.frames)) {
    return false;
  }
  report_.hops.push_back(origin_hop(*image_, resolved.source, resolved.frames, link_->slot.value,
                                    report_.hops.back()));
  stop(report::StopReason::origin_found, "the allocator handed it out");
  return true;
}

namespace {

/// It was computed from one value and constants.
bool unpacked(const ValueSource& source) {
  return std::any_of(source.inputs.begin(), source.inputs.end(),
                     [](const ComputedInput& input) { return input.constant; });
}

}  // namespace

bool Chain::go_on(const ResolvedSource& resolved, const Moment& moment,
                  const binary::CodeLocation& code, std::uint64_t value) {
  const ValueSource& source = resolved.source;
  const auto link = [&](std::uint64_t slot_value) {
    Link next;
    next.slot = Slot{*source.address, std::clamp<std::uint32_t>(source.size, 1, 8), slot_value};
    next.place = *resolved.place;
    next.before = moment.mark;
    const std::vector<WalkFrame>& frames =
        resolved.frames.empty() ? moment.frames : resolved.frames;
    next.reader = Link::Reader{moment, source.frame, source.pc, {}, in_allocator(*image_, frames)};
    next.reader->pointer = pointer_of_load(ModuleCode(image_->modules()), source.pc);
    link_ = std::move(next);
    return true;
  };
  switch (source.kind) {
    case ValueSource::Kind::memory:
      if (source.address && resolved.place) {
        add_load(resolved, code, low_bytes(value, source.offset, source.size));
        return link(low_bytes(value, source.offset, source.size));
      }
      break;
    case ValueSource::Kind::arithmetic:
      bytes_.reset();  // of a value that was computed from others
      if (source.address && source.value && resolved.place) {
        // A null that an offset was added to, or a word that was unpacked.
        if (*source.value == 0 || unpacked(source)) add_load(resolved, code, *source.value);
        return link(*source.value);
      }
      born(resolved, code, value);
      stop(report::StopReason::arithmetic, source.instruction);
      return false;
    case ValueSource::Kind::immediate:
    case ValueSource::Kind::zero:
      born(resolved, code, value);
      if (value == 0 && in_allocator(*image_, resolved.frames)) add_asked_size(resolved, moment);
      stop(report::StopReason::constant, source.instruction);
      return false;
    case ValueSource::Kind::address:
      born(resolved, code, value);
      stop(report::StopReason::origin_found, "the value is an address taken here");
      return false;
    case ValueSource::Kind::system_call:
      born(resolved, code, value);
      stop(report::StopReason::kernel_input, source.instruction);
      return false;
    case ValueSource::Kind::load:
    case ValueSource::Kind::register_:
    case ValueSource::Kind::unknown:
      break;
  }
  stop(report::StopReason::decoder_unknown,
       source.note.empty() ? "the value's way into the writer could not be followed" : source.note);
  return false;
}

}  // namespace culprit::provenance
