// How the code that used a slot came by the pointer that led there: a side branch of the crash.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "provenance/chain.h"
#include "provenance/heap.h"
#include "provenance/naming.h"
#include "provenance/window_moment.h"

namespace culprit::provenance {
namespace {

/// Memories that a pointer is followed through. Unoptimised code copies an argument into a local in
/// each function that it passes.
constexpr int kMaxKept = 10;

bool leads_on(const ValueSource& source) {
  return source.address && source.size > 0 && source.size <= 8 &&
         (source.kind == ValueSource::Kind::memory ||
          (source.kind == ValueSource::Kind::arithmetic && source.value));
}

bool was_made(const ValueSource& source) {
  switch (source.kind) {
    case ValueSource::Kind::address:
    case ValueSource::Kind::immediate:
    case ValueSource::Kind::zero:
    case ValueSource::Kind::arithmetic:
      return source.pc != Address{};
    default:
      return false;
  }
}

}  // namespace

/// What the code that took an address called the object there, at that time.
std::optional<report::Location> Chain::object_taken(const ResolvedSource& made, const Moment& later,
                                                    std::uint64_t value) const {
  Moment then = later;
  if (!made.frames.empty()) {
    then.frames = made.frames;
  } else if (made.source.frame < then.frames.size()) {
    then.frames.erase(then.frames.begin(),
                      then.frames.begin() + static_cast<std::ptrdiff_t>(made.source.frame));
    then.frames.front().code = image_->symbols().locate(made.source.pc);
    then.frames.front().frame.pc = made.source.pc;
    then.frames.front().frame.pc_kind = binary::PcKind::exact;
  }
  report::Location taken = describe_source(*image_, then, Address{value}, 1, NoMemory{}).location;
  if (!taken.owner || taken.owner->variable.empty()) return std::nullopt;
  return taken;
}

void Chain::add_way_of_pointer(const Link::Reader& reader) {
  if (!reader.pointer || way_of_pointer_) return;
  begin_phase("finding out how the pointer came to the code that used it");
  auto pointer =
      pointer_of_access(replay_, *image_, reader.moment, reader.frame, reader.pc, *reader.pointer,
                        false, WindowLimits{}, remaining(), report_.stats, answers_);
  if (!pointer.ok() || !*pointer) return;
  follow_pointer((*pointer)->source, reader.moment, (*pointer)->value, 0);
}

void Chain::check_pointer_to_number() {
  if (!first_reader_ || !first_reader_->pointer || report_.hops.empty()) return;
  const report::StopReason why = report_.verdict.stopped_because;
  const auto& location = report_.hops.front().location;
  const bool number =
      why == report::StopReason::arithmetic || why == report::StopReason::decoder_unknown;
  if (!number || !location || location->region != report::RegionKind::heap) return;
  add_way_of_pointer(*first_reader_);
}

void Chain::check_pointer_into_frame() {
  if (!first_reader_ || !first_reader_->pointer || report_.hops.empty()) return;
  const auto& location = report_.hops.front().location;
  if (!location || location->region != report::RegionKind::stack || !location->owner ||
      location->owner->variable.empty() ||
      first_reader_->frame >= first_reader_->moment.frames.size()) {
    return;
  }
  // The frame pointer is no pointer of the program's.
  const WalkFrame& frame = first_reader_->moment.frames[first_reader_->frame];
  const auto base = frame.frame.registers.values[*first_reader_->pointer];
  if (first_reader_->pointer == Gpr::rbp && frame.frame.cfa && base + 16 == frame.frame.cfa->value)
    return;
  add_way_of_pointer(*first_reader_);
}

void Chain::explain_dead_frame(const Link::Reader& reader, Address slot) {
  add_way_of_pointer(reader);
  begin_phase("looking for a longjmp over the frame");
  auto jump = find_long_jump_over(replay_, *image_, reader.moment.position.thread, slot,
                                  reader.moment.mark, remaining(), report_.stats);
  if (!jump.ok() || !*jump) return;
  add_side(long_jump_hop(*image_, **jump, slot), 0);
}

void Chain::follow_pointer(ResolvedSource source, Moment moment, std::uint64_t value,
                           std::uint32_t parent) {
  way_of_pointer_ = true;
  if (source.source.address && source.source.size != 8) return;  // no pointer
  follow_copies(std::move(source), std::move(moment), value, parent, "the pointer");
}

void Chain::follow_copies(ResolvedSource source, Moment moment, std::uint64_t value,
                          std::uint32_t parent, std::string_view what) {
  const auto add = [&](report::Hop hop) { parent = add_side(std::move(hop), parent); };
  const auto add_leaving = [&](const ResolvedSource& way) {
    if (!way.left.empty()) add(left_frame_hop(*image_, way.left, value, report_.hops[parent]));
  };
  add_leaving(source);
  for (int kept = 0; kept < kMaxKept && leads_on(source.source); ++kept) {
    if (source.source.kind == ValueSource::Kind::arithmetic) value = *source.source.value;
    const Slot slot{*source.source.address, source.source.size,
                    low_bytes(value, source.source.offset, source.source.size)};
    std::optional<Activation> owner;
    if (source.place) owner = source.place->activation;
    auto found = last_writer(slot, moment.mark, owner, false);
    if (!found.ok() || !found->writer || found->older_than_owner.value_or(false)) return;
    WriterHit& writer = *found->writer;
    if (writer.hit.kernel && !writer.hit.kernel->remapped) {
      add(writer_hop(*image_, writer, slot, writer.source, writer.source_place, style_));
      report_.hops.back().summary += fmt::format("; {} was kept there", what);
    }
    if (writer.hit.kernel || !writer.writer) return;
    if (in_allocator(*image_, writer.moment.frames))
      return;  // how it comes by a block is its own affair
    ResolvedSource next{writer.source, writer.source_place};
    const ValueQuestion question{writer.frame, writer.writer->instruction.address, true,
                                 stored_bytes(*writer.writer, slot)};
    auto better = resolve(writer.moment, question, next.source, next.place, slot.value);
    if (better.ok()) next = *std::move(better);
    add(writer_hop(*image_, writer, slot, next.source, next.place, style_));
    report_.hops.back().summary += fmt::format("; {} was kept there", what);
    if (in_allocator(*image_, next.frames)) return;
    add_leaving(next);
    moment = writer.moment;
    value = slot.value;
    source = std::move(next);
  }
  if (report_.hops.empty() || !was_made(source.source)) return;
  report::Hop hop = origin_hop(*image_, source.source, source.frames, value, report_.hops[parent]);
  if (source.source.kind == ValueSource::Kind::address)
    hop.location = object_taken(source, moment, value);
  hop.summary += fmt::format(": {} that was used", what);
  add(std::move(hop));
}

void Chain::add_asked_size(const ResolvedSource& null, const Moment& user) {
  if (report_.hops.empty()) return;
  // The outermost of the allocator's functions is the one that the program called.
  std::size_t at = null.frames.size();
  const replay::HeapFunction* called = nullptr;
  constexpr std::size_t kDeepest = 8;
  for (std::size_t i = 0; i + 1 < null.frames.size() && i < kDeepest; ++i) {
    const replay::HeapFunction* function = allocator_function(*image_, null.frames[i].code.entry);
    if (function == nullptr) continue;
    at = i;
    called = function;
  }
  if (called == nullptr) return;
  Gpr argument = Gpr::rdi;
  if (called->role == replay::HeapRole::resize ||
      called->role == replay::HeapRole::allocate_aligned ||
      called->role == replay::HeapRole::allocate_array) {
    argument = Gpr::rsi;
  } else if (called->role != replay::HeapRole::allocate) {
    return;
  }
  const WalkFrame& caller = null.frames[at + 1];
  const std::uint64_t size = caller.frame.registers.values[argument];
  const auto asked = add_side(
      asked_size_hop(*image_,
                     {null.frames.begin() + static_cast<std::ptrdiff_t>(at), null.frames.end()},
                     called->name, size, report_.hops.back()),
      static_cast<std::uint32_t>(report_.hops.size() - 1));
  const auto frame = std::find_if(user.frames.begin(), user.frames.end(), [&](const WalkFrame& f) {
    return f.frame.cfa == caller.frame.cfa && f.code.entry == caller.code.entry;
  });
  if (frame == user.frames.end()) return;
  begin_phase("finding where the size came from");
  auto made = resolve_register_at(
      replay_, *image_, user, static_cast<std::size_t>(frame - user.frames.begin()),
      caller.frame.pc, argument, false, kAside, remaining(), report_.stats, answers_);
  if (!made.ok()) return;
  follow_copies(*std::move(made), user, size, asked, "the size");
}

}  // namespace culprit::provenance
