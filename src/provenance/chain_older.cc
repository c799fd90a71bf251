// A value that no store put into its slot: a system call replaced the memory, or another process
// wrote it. The chain goes on where those older bytes had been.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/syscall_names.h"
#include "provenance/chain.h"
#include "provenance/fork.h"
#include "provenance/naming.h"
#include "provenance/older_bytes.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"
#include "replay/forward_replay.h"

namespace culprit::provenance {
namespace {

constexpr std::uint64_t kCloneVm = 0x100;  // linux/sched.h

std::string fork_words(const replay::TraceClone& clone) {
  return fmt::format("process {} was forked by thread {} at event {}", clone.child.value,
                     clone.parent.value, clone.event.value);
}

/// The newest fork of the image's process before `until`: what copies of its pages there were.
std::string newest_fork(const ProcessImage& image, EventNumber until) {
  const replay::TraceClone* newest = nullptr;
  for (const replay::TraceClone& clone : image.index().clones()) {
    const replay::TraceThread* parent = image.index().thread(clone.parent);
    if ((clone.flags & kCloneVm) == 0 && clone.event < until && parent != nullptr &&
        parent->process == image.process()) {
      newest = &clone;
    }
  }
  return newest == nullptr ? "" : fork_words(*newest);
}

SourcePlace bare_place(const ProcessImage& image, ByteRange range) {
  SourcePlace out;
  out.location.address = range.start;
  out.location.size = range.size;
  out.location.region = report::RegionKind::mapping;
  const binary::Region region = image.modules().region_at(range.start);
  out.location.description = region.name.empty() ? to_hex(range.start) : region.name;
  if (!region.range.empty()) out.location.mapping = region.range;
  return out;
}

/// The newest store of an instruction, whatever its value.
class LastStoreObserver : public replay::PassObserver {
 public:
  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    if (!hit.kernel) value = hit.value_after;
    return replay::Next::go_on;
  }
  std::optional<std::uint64_t> value;
};

/// A page that mremap moved here had its bytes before; other calls are told from a fresh mapping by
/// what was there.
bool brought_bytes(const replay::Hit& hit) {
  return hit.before_known || syscall_name(hit.kernel->syscall) == "mremap";
}

}  // namespace

void Chain::add_last_store(const replay::Mark& until, std::uint32_t parent) {
  constexpr std::uint32_t kNewest = 64;
  Slot slot = link_->slot;
  begin_phase("finding what the program stored there last");
  replay::PassSpec spec;
  spec.probes.push_back(slot.probe());
  spec.probes.front().filter.reset();
  spec.probes.front().process = image_->process();
  spec.probes.front().keep_last = kNewest;
  spec.end = until;
  spec.deadline = remaining();
  LastStoreObserver last;
  const auto pass = replay_.run(spec, last);
  if (!pass.ok() || !last.value) return;
  count(report_.stats, *pass);
  slot.value = *last.value;
  auto found = find_last_writer(replay_, *image_, slot, until, std::nullopt, false, remaining(),
                                report_.stats);
  if (!found.ok() || !found->writer || found->writer->hit.kernel) return;
  WriterHit& store = *found->writer;
  if (!store.location.owner) store.location.description = name_of(link_->place.location);
  report::Hop hop = writer_hop(*image_, store, slot, store.source, store.source_place, style_);
  hop.summary += ": the last store of this process there";
  add_side(std::move(hop), parent);
}

/// True if the chain goes on at link_.
bool Chain::follow_older_bytes(const WriterHit& change) {
  const replay::Hit& hit = change.hit;
  if (!hit.kernel || hit.kernel->syscall == replay::kNoSyscall || !brought_bytes(hit) ||
      (hit.before_known && hit.value_before == link_->slot.value) || hit.position.syscalls == 0) {
    return false;
  }
  const auto parent = static_cast<std::uint32_t>(report_.hops.size() - 1);
  const EventNumber entry = index_.event_of(hit.position);
  const replay::TraceClone* forked =
      hit.position.process != image_->process() ? fork_of(index_, hit.position.process) : nullptr;
  const std::string fork = forked != nullptr ? fork_words(*forked) : newest_fork(*image_, entry);
  if (!fork.empty()) report_.hops[parent].note += "; " + fork;
  add_last_store(before_call(hit), parent);

  begin_phase("finding where the older bytes had been");
  auto older =
      find_older_bytes(replay_, *image_, hit, link_->slot.range(), remaining(), report_.stats);
  if (!older.ok() || !*older) return false;
  if ((*older)->through) {
    report::Hop hop;
    hop.kind = report::HopKind::channel;
    hop.position = (*older)->through_at;
    hop.syscall = (*older)->through;
    hop.value_after = link_->slot.value;
    hop.confidence = report::Confidence::likely;
    hop.summary = fmt::format("{} had put {} into {}", hop.syscall->name, to_hex(link_->slot.value),
                              hop.syscall->path);
    hop.note = "found by the descriptor and the offset of the call";
    report_.hops.push_back(std::move(hop));
  }
  const Slot slot{(*older)->address, link_->slot.size, link_->slot.value};
  replay::Mark before = (*older)->before;
  if ((*older)->process != image_->process()) {
    if (forked == nullptr) return false;
    // The other process's own store, or what it has had since it was forked.
    const ProcessImage& other = image_at((*older)->process, entry);
    auto found = find_last_writer(replay_, other, slot, before, std::nullopt, false, remaining(),
                                  report_.stats);
    if (!found.ok()) return false;
    if (found->writer) {
      const WriterHit& writer = *found->writer;
      report_.hops.push_back(
          writer_hop(other, writer, slot, writer.source, writer.source_place, style_));
      if (!writer.source_place || !writer.source.address || writer.source.size != slot.size)
        return false;
      // A copy within the other process: of what it was forked with, most likely.
      link_ = Link{Slot{*writer.source.address, slot.size, slot.value}, *writer.source_place,
                   before, std::nullopt};
      before = writer.moment.mark;
      auto copied = find_last_writer(replay_, other, link_->slot, before, std::nullopt, false,
                                     remaining(), report_.stats);
      if (!copied.ok() || copied->writer) return false;
    } else {
      link_ = Link{slot, bare_place(other, slot.range()), before, std::nullopt};
    }
    link_->before =
        entry_mark(forked->parent, index_.syscalls_until(forked->parent, forked->event));
    link_->place.activation.reset();
    return true;
  }
  link_ = Link{slot, bare_place(*image_, slot.range()), before, std::nullopt};
  return true;
}

}  // namespace culprit::provenance
