// The probes that the engine's passes set most, and the marks that they lead to.
#pragma once

#include <optional>

#include "provenance/process_image.h"
#include "replay/replay.h"

namespace culprit::provenance {

/// Executions of the instruction at `pc` in the image's process; of one thread, if that is given.
[[nodiscard]] inline replay::Probe execution_of(Address pc, const ProcessImage& image,
                                                std::optional<ThreadId> thread) {
  replay::Probe probe;
  probe.kind = replay::ProbeKind::execute;
  probe.address = pc;
  probe.thread = thread;
  probe.process = image.process();
  return probe;
}

/// The `ordinal`-th hit of a probe, whatever the probe reported and how.
[[nodiscard]] inline replay::Mark hit_mark(const replay::Probe& probe, std::uint64_t ordinal) {
  replay::Mark mark;
  mark.kind = replay::Mark::Kind::probe_hit;
  mark.probe = probe;
  mark.probe.live = false;
  mark.probe.keep_last = 0;
  mark.ordinal = ordinal;
  return mark;
}

/// True if both are the same name of a moment. (Two names may mean one moment all the same.)
[[nodiscard]] inline bool same_moment(const replay::Mark& a, const replay::Mark& b) {
  if (a.kind != b.kind || a.ordinal != b.ordinal) return false;
  if (a.kind != replay::Mark::Kind::probe_hit) return a.thread == b.thread && a.signal == b.signal;
  const replay::Probe& p = a.probe;
  const replay::Probe& q = b.probe;
  const bool filters =
      p.filter.has_value() == q.filter.has_value() &&
      (!p.filter || (p.filter->value == q.filter->value && p.filter->mask == q.filter->mask));
  return filters && p.kind == q.kind && p.address == q.address && p.size == q.size &&
         p.thread == q.thread && p.process == q.process;
}

/// Just before the thread's `ordinal`-th system call.
[[nodiscard]] inline replay::Mark entry_mark(ThreadId thread, std::uint64_t ordinal) {
  replay::Mark mark;
  mark.kind = replay::Mark::Kind::syscall_entry;
  mark.thread = thread;
  mark.ordinal = ordinal;
  return mark;
}

/// Keeps the newest execution that began the activation with this CFA: at the function's entry rsp
/// points to the return address, just below it.
class EntryObserver : public replay::PassObserver {
 public:
  explicit EntryObserver(Address cfa) : sp_(cfa - 8) {}
  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    if (hit.registers.sp() == sp_) entered = hit;
    return replay::Next::go_on;
  }
  std::optional<replay::Hit> entered;

 private:
  Address sp_;
};

}  // namespace culprit::provenance
