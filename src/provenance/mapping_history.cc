#include "provenance/mapping_history.h"

#include <fmt/format.h>
#include <sys/syscall.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/syscall_names.h"
#include "provenance/visit.h"

namespace culprit::provenance {
namespace {

constexpr std::size_t kMostChanges = 64;
constexpr std::uint64_t kPage = 4096;

struct Effect {
  ByteRange gone;
  ByteRange there;
};

ByteRange whole_pages(std::uint64_t start, std::uint64_t size) {
  const std::uint64_t rounded = (size + kPage - 1) / kPage * kPage;
  return rounded < size ? ByteRange{} : ByteRange{Address{start}, rounded};
}

/// mmap(2), munmap(2), mremap(2).
Effect effect_of(const replay::Frame& frame, const replay::FrameRegisters& r) {
  const bool failed = r.result < 0 && r.result > -static_cast<std::int64_t>(kPage);
  if (failed) return {};
  const auto result = static_cast<std::uint64_t>(r.result);
  if (frame.number == SYS_mmap) return {{}, whole_pages(result, r.arguments[1])};
  if (frame.number == SYS_munmap) return {whole_pages(r.arguments[0], r.arguments[1]), {}};
  if (frame.number == SYS_mremap && result != r.arguments[0]) {
    return {whole_pages(r.arguments[0], r.arguments[1]), whole_pages(result, r.arguments[2])};
  }
  return {};
}

/// The thread whose stack pointer was in the range, in the frames between two events; 0: none.
ThreadId thread_on(const replay::TraceIndex& index, ProcessId process, const ByteRange& range,
                   EventNumber from, EventNumber to) {
  for (const replay::Frame& frame : index.frames()) {
    if (frame.event < from) continue;
    if (to && frame.event > to) break;
    const replay::FrameRegisters* registers = index.registers_of(frame);
    if (registers == nullptr || !range.contains(Address{registers->rsp})) continue;
    const replay::TraceThread* thread = index.thread(frame.thread);
    if (thread != nullptr && thread->process == process) return frame.thread;
  }
  return ThreadId{};
}

report::LifeEvent life_event(const MappingChange& change, ProcessId process,
                             std::string_view what) {
  report::LifeEvent out;
  out.position.event = change.event;
  out.position.thread = change.thread;
  out.position.process = process;
  out.description = fmt::format("{} by thread {}", what, change.thread.value);
  return out;
}

}  // namespace

std::vector<MappingChange> mapping_changes(const replay::TraceIndex& index, ProcessId process,
                                           Address address, EventNumber until) {
  const auto in_process = [&](ThreadId id) {
    const replay::TraceThread* thread = index.thread(id);
    return thread != nullptr && thread->process == process;
  };
  EventNumber from;
  for (const replay::TraceExec& exec : index.execs()) {
    if (exec.event < until && in_process(exec.thread)) from = exec.event;
  }
  std::vector<MappingChange> out;
  for (const replay::Frame& frame : index.frames()) {
    if (frame.event >= until) break;
    const replay::FrameRegisters* registers = index.registers_of(frame);
    if (frame.event < from || frame.kind != replay::FrameKind::syscall_exit ||
        registers == nullptr || !in_process(frame.thread)) {
      continue;
    }
    const Effect effect = effect_of(frame, *registers);
    for (const bool made : {false, true}) {
      const ByteRange& range = made ? effect.there : effect.gone;
      if (!range.contains(address)) continue;
      MappingChange change;
      change.event = frame.event;
      change.thread = frame.thread;
      change.made = made;
      change.range = range;
      change.syscall.syscall = static_cast<std::uint64_t>(frame.number);
      change.syscall.arguments = registers->arguments;
      change.syscall.result = registers->result;
      change.syscall.remapped = true;
      change.entry = entry_of_call(index, frame);
      out.push_back(std::move(change));
    }
  }
  if (out.size() > kMostChanges) {
    out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(kMostChanges));
  }
  return out;
}

std::vector<report::RegionPeriod> mapping_history(const ProcessImage& image, Address address,
                                                  EventNumber until) {
  std::vector<report::RegionPeriod> out;
  const auto open = [&] { return !out.empty() && !out.back().to; };
  for (const MappingChange& change :
       mapping_changes(image.index(), image.process(), address, until)) {
    const std::string_view name = syscall_name(change.syscall.syscall);
    report::LifeEvent event = life_event(change, image.process(), name);
    if (open()) out.back().to = event;
    if (!change.made) continue;
    report::RegionPeriod period;
    period.kind = report::RegionKind::mapping;
    period.range = change.range;
    period.from = std::move(event);
    out.push_back(std::move(period));
  }
  for (report::RegionPeriod& period : out) {
    const EventNumber to = period.to ? period.to->position.event : until;
    const ThreadId thread =
        thread_on(image.index(), image.process(), *period.range, period.from->position.event, to);
    period.description = "mapped memory";
    if (thread.value == 0) continue;
    period.kind = report::RegionKind::stack;
    period.description = fmt::format("the stack of thread {}", thread.value);
  }
  return out;
}

}  // namespace culprit::provenance
