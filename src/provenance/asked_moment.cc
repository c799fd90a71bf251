#include "provenance/asked_moment.h"

#include <errno.h>
#include <fmt/format.h>

#include <vector>

#include "base/registers.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"

namespace culprit::provenance {
namespace {

/// Collects the hits of probe 0 that the description fits.
class LookAlikes : public replay::PassObserver {
 public:
  LookAlikes(const AskedMoment& asked, std::uint64_t from, std::uint64_t to)
      : asked_(asked), from_(from), to_(to) {}

  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    const bool fits = hit.position.syscalls >= from_ && hit.position.syscalls <= to_ &&
                      (!asked_.registers || hit.registers.gpr == *asked_.registers);
    if (!fits) return replay::Next::go_on;
    ++count;
    // No stop at the one that was asked for: the replay goes on while hits are on their way here.
    if (!asked_.hit || count == *asked_.hit) ordinal = hit.ordinal;
    return replay::Next::go_on;
  }

  std::uint64_t count = 0;
  std::uint64_t ordinal = 0;  ///< of the last one, or of the one that was asked for

 private:
  const AskedMoment& asked_;
  std::uint64_t from_;  ///< system calls of the thread before the moment: at least these…
  std::uint64_t to_;    ///< …and at most these
};

/// Does the thread stand in its `ordinal`-th system call, before the kernel has done anything?
bool just_entered_a_call(const replay::TraceIndex& index, const AskedMoment& asked,
                         std::uint64_t ordinal) {
  const replay::Frame* frame = index.frame(asked.event);
  if (frame == nullptr || frame->thread != asked.thread ||
      frame->kind != replay::FrameKind::syscall_entry) {
    return false;
  }
  // It returns to where it stands now; before the call the thread was elsewhere.
  const replay::Frame* exit = index.frame(index.event_of_syscall_exit(asked.thread, ordinal));
  const replay::FrameRegisters* after = exit != nullptr ? index.registers_of(*exit) : nullptr;
  if (after != nullptr && after->rip != asked.pc.value) return false;
  constexpr auto kEntered = static_cast<std::uint64_t>(-ENOSYS);
  return !asked.registers || (*asked.registers)[static_cast<std::size_t>(Gpr::rax)] == kEntered;
}

}  // namespace

Result<FoundMoment> find_asked_moment(replay::Replay& replay, const replay::TraceIndex& index,
                                      const AskedMoment& asked, std::chrono::milliseconds deadline,
                                      report::Stats& stats) {
  const replay::TraceThread* thread = index.thread(asked.thread);
  if (thread == nullptr) {
    return Error{ErrorCode::usage, fmt::format("the trace has no thread {}", asked.thread.value)};
  }
  if (index.frame(asked.event) == nullptr) {
    return Error{ErrorCode::usage, fmt::format("the trace has no event {}", asked.event.value)};
  }
  FoundMoment out;
  out.process = thread->process;
  const std::uint64_t syscalls = index.syscalls_until(asked.thread, asked.event);
  if (just_entered_a_call(index, asked, syscalls)) {
    out.mark = entry_mark(asked.thread, syscalls);
    return out;
  }
  replay::PassSpec spec;
  replay::Probe probe;
  probe.kind = replay::ProbeKind::execute;
  probe.address = asked.pc;
  probe.thread = asked.thread;
  spec.probes = {probe};
  spec.deadline = deadline;
  if (syscalls < thread->syscalls) spec.end = entry_mark(asked.thread, syscalls + 1);
  const std::uint64_t before =
      index.syscalls_until(asked.thread, EventNumber{asked.event.value - 1});
  LookAlikes observer(asked, before, syscalls);
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
  count(stats, pass);
  if (observer.count == 0 || (asked.hit && observer.count < *asked.hit)) {
    return Error{
        ErrorCode::usage,
        fmt::format("about event {} thread {} executed {} {} times{}: this is no moment of the "
                    "trace",
                    asked.event.value, asked.thread.value, to_hex(asked.pc), observer.count,
                    asked.registers ? " with these registers" : "")};
  }
  out.mark = hit_mark(probe, observer.ordinal);
  out.alike = asked.hit ? 1 : observer.count;
  return out;
}

}  // namespace culprit::provenance
