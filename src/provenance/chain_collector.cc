// A block that a garbage collector gave up while it was in use: why, from the sweep back to what
// hid its reference.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "provenance/chain.h"
#include "provenance/collector_passes.h"
#include "provenance/naming.h"
#include "provenance/region_life.h"
#include "provenance/visit.h"
#include "report/suspect_words.h"

namespace culprit::provenance {
namespace {

/// The last frame that surely came before a position: its thread's last system call has returned
/// there.
EventNumber end_of_last_call(const replay::TraceIndex& index, const replay::Position& position) {
  const EventNumber entered = index.event_of(position);
  const EventNumber returned = index.event_of_syscall_exit(position.thread, position.syscalls);
  return std::max(entered, returned);
}

std::vector<report::RegionPeriod> periods_of(const std::vector<RegionTime>& life) {
  std::vector<report::RegionPeriod> out;
  for (const RegionTime& time : life) out.push_back(period_of(time));
  return out;
}

}  // namespace

void Chain::add_earlier_life(report::Hop& hop, const replay::Position& position) const {
  if (!hop.location || (hop.location->region != report::RegionKind::mapping &&
                        hop.location->region != report::RegionKind::runtime_object)) {
    return;
  }
  const auto life =
      mapping_life(image_->index(), image_->process(), end_of_last_call(image_->index(), position),
                   hop.location->address);
  if (life.size() < 2) return;
  const RegionTime& earlier = life[life.size() - 2];
  // A mapping over a part of another one, as reserved memory is put to use, is no new life.
  if (!earlier.to || earlier.to->event == life.back().from->event) return;
  if (!hop.note.empty()) hop.note += "; ";
  hop.note += fmt::format("until {} by thread {} the addresses were {}", earlier.to->description,
                          earlier.to->thread.value, earlier.description);
  hop.location->history = periods_of(life);
}

bool Chain::given_up_by_collector(const LastWriter& found, const ResolvedSource& resolved) {
  if (!found.writer) return false;
  const WriterHit& writer = *found.writer;
  const runtimes::Collector* collector = sweeping_collector(*image_, writer);
  if (collector == nullptr) return false;
  begin_phase("finding out why the collector gave the block up");
  auto examined = examine_sweep(replay_, *image_, *collector, writer, remaining(), report_.stats);
  if (!examined.ok() || !*examined) return false;
  const Sweep& sweep = **examined;
  add_writer(writer, resolved);
  const EventNumber swept = end_of_last_call(image_->index(), writer.moment.position);
  describe_sweep(report_.hops.back(), sweep.block, sweep.hidden_by);
  if (link_->reader) add_kept_reference(*link_->reader);
  if (!sweep.hidden_by) {
    stop(report::StopReason::origin_found,
         "the collector gave the block up while it was in use; what hid it is not known");
    return true;
  }
  const Address hidden = sweep.hidden_by->range.start;
  const auto life = mapping_life(image_->index(), image_->process(), swept, hidden);
  if (sweep.registration) {
    add_change_of_owner(hidden, life, sweep.registration->moment);
    report_.hops.push_back(registration_hop(*image_, sweep.registration->moment,
                                            sweep.registration->code, sweep.registration->location,
                                            collector->registrar()));
    report_.hops.back().location->history = periods_of(life);
    mark_ended_thread(report_.hops.back(), swept);
  }
  stop(report::StopReason::origin_found,
       fmt::format("the collector does not follow references into a {}",
                   collector->registrar().noun));
  return true;
}

/// Where the reference was that was used in the end, and who put it there: a side branch of the
/// sweep, and words at it.
void Chain::add_kept_reference(const Link::Reader& reader) {
  if (!reader.pointer) return;
  begin_phase("finding out where the reference was kept");
  const auto sweep = static_cast<std::uint32_t>(report_.hops.size() - 1);
  auto pointer =
      pointer_of_access(replay_, *image_, reader.moment, reader.frame, reader.pc, *reader.pointer,
                        false, WindowLimits{}, remaining(), report_.stats, answers_);
  if (!pointer.ok() || !*pointer || !(*pointer)->source.place) return;
  const ValueSource& source = (*pointer)->source.source;
  if (source.kind != ValueSource::Kind::memory || !source.address || source.size != 8) return;
  report_.hops[sweep].note +=
      fmt::format("; the reference that was used later, {}, was in {}", to_hex((*pointer)->value),
                  name_of((*pointer)->source.place->location));
  const Slot slot{*source.address, 8, (*pointer)->value};
  auto kept = find_last_writer(replay_, *image_, slot, reader.moment.mark, std::nullopt, false,
                               remaining(), report_.stats);
  if (!kept.ok() || !kept->writer || kept->writer->hit.kernel) return;
  const WriterHit& writer = *kept->writer;
  report::Hop hop = writer_hop(*image_, writer, slot, writer.source, writer.source_place, style_);
  hop.summary += ": the reference that was used later";
  add_side(std::move(hop), sweep);
}

/// The system calls that took the registered memory away and gave its addresses to somebody else.
void Chain::add_change_of_owner(Address hidden, const std::vector<RegionTime>& life,
                                const Moment& registered) {
  const EventNumber since = report_position(*image_, registered.position, nullptr).event;
  struct Change {
    const RegionEvent* event = nullptr;
    bool made = false;
    ByteRange range;
  };
  Change mapped;
  Change unmapped;
  for (const RegionTime& time : life) {
    if (time.from->event >= since) mapped = {&*time.from, true, time.range};
    // Where something else was mapped over it, its maker is named already.
    const bool given_back = time.to && time.to->event >= since && !time.to->arguments.empty();
    if (given_back) unmapped = {&*time.to, false, time.to->arguments};
  }
  for (const Change& change : {mapped, unmapped}) {
    if (change.event == nullptr || !change.event->caller || !change.event->call) continue;
    auto moment = visit(replay_, *image_, *change.event->caller, remaining(), report_.stats);
    if (moment.ok() && *moment) {
      report_.hops.push_back(mapping_change_hop(*image_, *change.event->call, change.made,
                                                change.range, **moment, hidden));
    }
  }
}

/// Says of a registration that the thread that made it has ended, if it had before `swept`.
void Chain::mark_ended_thread(report::Hop& hop, EventNumber swept) const {
  const replay::TraceThread* thread = image_->index().thread(hop.position.thread);
  if (thread == nullptr || !thread->ended || thread->ended > swept) return;
  hop.summary += fmt::format("; thread {} has ended since", thread->thread.value);
  if (!hop.location->owner) hop.location->owner.emplace();
  report::LifeEvent died;
  died.position.event = thread->ended;
  died.position.thread = thread->thread;
  died.position.process = thread->process;
  died.description = fmt::format("thread {} ended", thread->thread.value);
  hop.location->owner->life.died = std::move(died);
}

}  // namespace culprit::provenance
