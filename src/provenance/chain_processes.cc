// The value came from another process of the recording without a system call that carried it: the
// process was forked with it, or the two share the memory.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "provenance/cached_memory.h"
#include "provenance/chain.h"
#include "provenance/fork.h"
#include "provenance/kernel_input.h"
#include "provenance/naming.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"
#include "provenance/shared_memory.h"
#include "replay/forward_replay.h"

namespace culprit::provenance {
namespace {

/// The newest write that made the bytes. Not one that only shows in that process what was there
/// already: a mapping made since, or a change that came through another mapping.
class NewestWrite : public replay::PassObserver {
 public:
  NewestWrite(const replay::TraceIndex& index, const std::vector<replay::Probe>& probes)
      : index_(index), probes_(probes) {}
  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    const bool later = !newest || hit.position.sequence > newest->position.sequence;
    if (later && made(hit)) newest = hit;
    return replay::Next::go_on;
  }
  std::optional<replay::Hit> newest;

 private:
  /// The first probe is that of the process that asks: how it came by its mapping matters there.
  bool made(const replay::Hit& hit) const {
    if (!hit.kernel || (hit.probe == 0 && hit.kernel->remapped)) return true;
    if (hit.kernel->syscall == replay::kNoSyscall || hit.kernel->remapped) return false;
    const replay::Probe& probe = probes_[hit.probe];
    const ThreadId thread = hit.position.thread;
    const EventNumber from = index_.event_of_syscall_entry(thread, hit.position.syscalls);
    const EventNumber to = index_.event_of_syscall_exit(thread, hit.position.syscalls);
    return from && !index_.writers_of({probe.address, probe.size}, from, to ? to : from).empty();
  }
  const replay::TraceIndex& index_;
  const std::vector<replay::Probe>& probes_;
};

bool has_run_another_program(const replay::TraceIndex& index, ProcessId process) {
  return std::any_of(index.execs().begin(), index.execs().end(), [&](const replay::TraceExec& e) {
    const replay::TraceThread* thread = index.thread(e.thread);
    return thread != nullptr && thread->process == process;
  });
}

}  // namespace

bool Chain::stand_in(ProcessImage& there, const replay::Mark& mark, const Slot& slot,
                     report::Hop& hop, Link& link) {
  Moment moment;
  moment.mark = mark;
  bool same = false;
  MarkReader reader(replay_, remaining(), report_.stats);
  reader.at(mark, [&](const replay::Position& at, const Registers& registers,
                      const replay::LiveState& live) {
    const CachedMemory memory(live);
    there.verify(memory);
    stand_at(there, at, registers, memory, moment);
    link.place = describe_source(there, moment, slot.address, slot.size, memory);
    std::uint64_t value = 0;
    const auto bytes = std::as_writable_bytes(std::span(&value, 1)).first(slot.size);
    same = memory.read(slot.address, bytes) == bytes.size() &&
           value == low_bytes(slot.value, 0, slot.size);
  });
  if (moment.frames.empty() || !same) return false;
  link.slot = slot;
  link.before = mark;
  hop.kind = report::HopKind::channel;
  hop.position = report_position(there, moment.position, &moment.mark);
  hop.backtrace = report_frames(there, moment.frames);
  hop.writer = report_writer(there, moment.frames.front().code, nullptr);
  hop.location = link.place.location;
  hop.value_after = slot.value;
  hop.bytes = bytes_;
  hop.confidence = report::Confidence::proved;
  return true;
}

bool Chain::follow_fork() {
  const ProcessImage* const here = image_;
  const replay::TraceClone* forked = fork_of(index_, here->process());
  const replay::TraceThread* parent = forked != nullptr ? index_.thread(forked->parent) : nullptr;
  if (parent == nullptr || has_run_another_program(index_, here->process())) return false;
  begin_phase("finding what the process was forked with");
  ProcessImage& there = image_at(parent->process, forked->event);
  report::Hop hop;
  Link next;
  const replay::Mark mark =
      entry_mark(forked->parent, index_.syscalls_until(forked->parent, forked->event));
  if (!stand_in(there, mark, link_->slot, hop, next)) return false;
  hop.summary =
      fmt::format("process {} was forked from process {} with {} in {}", here->process().value,
                  there.process().value, to_hex(link_->slot.value), name_of(next.place.location));
  hop.note = fmt::format("process {} never wrote these bytes: it has them from its fork",
                         here->process().value);
  image_ = &there;
  first_link_ = false;
  report_.hops.push_back(std::move(hop));
  link_ = std::move(next);
  return true;
}

bool Chain::follow_shared_memory() {
  const Slot slot = link_->slot;
  const std::vector<SharedPlace> others = other_places(*image_, slot.range());
  if (others.empty()) return false;
  // A probe takes one or two of the four debug registers, and the end may take as many.
  const bool aligned = slot.address.value % slot.size == 0;
  if (!aligned) return false;
  constexpr std::size_t most = 2;
  begin_phase("finding which process wrote the shared memory");
  std::optional<replay::Hit> newest;
  replay::Probe probe;
  EventNumber mapped;
  for (std::size_t from = 0; from < others.size(); from += most) {
    replay::PassSpec spec;
    spec.end = link_->before;
    spec.deadline = remaining();
    std::vector<SharedPlace> places{{image_->process(), slot.address, image_->mapped_at()}};
    for (std::size_t i = from; i < std::min(others.size(), from + most); ++i) {
      places.push_back(others[i]);
    }
    for (const SharedPlace& place : places) {
      Slot there = slot;
      there.address = place.address;
      spec.probes.push_back(there.probe());
      spec.probes.back().process = place.process;
      spec.probes.back().live = false;
      spec.probes.back().keep_last = 1;
    }
    NewestWrite observer(index_, spec.probes);
    const auto pass = replay_.run(spec, observer);
    if (!pass.ok()) return false;
    count(report_.stats, *pass);
    // Sequences order the hits of one pass; of several, the events do.
    if (!observer.newest) continue;
    if (newest && index_.event_of(observer.newest->position) <= index_.event_of(newest->position)) {
      continue;
    }
    newest = observer.newest;
    probe = spec.probes[newest->probe];
    mapped = places[newest->probe].at;
  }
  if (!newest || *probe.process == image_->process()) return false;
  const ProcessImage* const here = image_;
  ProcessImage& there = image_at(*probe.process, mapped);
  report::Hop hop;
  Link next;
  Slot theirs = slot;
  theirs.address = probe.address;
  if (!stand_in(there, hit_mark(probe, newest->ordinal), theirs, hop, next)) return false;
  hop.summary = fmt::format("process {} wrote {} into {}, memory that it shares with process {}",
                            there.process().value, to_hex(slot.value), name_of(next.place.location),
                            here->process().value);
  hop.note =
      "both processes have the same memory mapped, and the last store into it was this one's";
  image_ = &there;
  first_link_ = false;
  report_.hops.push_back(std::move(hop));
  link_ = std::move(next);
  return true;
}

}  // namespace culprit::provenance
