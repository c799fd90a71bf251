#include "provenance/crash_point.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>

namespace culprit::provenance {

Result<replay::CrashCandidate> end_of_process(const replay::TraceIndex& index, ProcessId process) {
  for (const replay::CrashCandidate& c : index.crash_candidates()) {
    if (c.process == process) return c;
  }
  const auto known = index.processes();
  if (std::find(known.begin(), known.end(), process) == known.end()) {
    std::string list;
    for (std::size_t i = 0; i < known.size() && i < 16; ++i) {
      list += fmt::format("{}{}", list.empty() ? "" : ", ", known[i].value);
    }
    return Error{ErrorCode::usage, fmt::format("there is no process {} in this trace; there are {}",
                                               process.value, list)};
  }
  const auto frames = index.frames();
  for (auto it = frames.rbegin(); it != frames.rend(); ++it) {
    if (it->kind != replay::FrameKind::syscall_entry ||
        (it->number != SYS_exit_group && it->number != SYS_exit)) {
      continue;
    }
    const replay::TraceThread* thread = index.thread(it->thread);
    if (thread == nullptr || thread->process != process) continue;
    replay::CrashCandidate out;
    out.kind = replay::CrashCandidate::Kind::exit_code;
    out.thread = it->thread;
    out.process = process;
    out.event = it->event;
    const replay::TraceThread* leader = index.thread(ThreadId{process.value});
    if (leader != nullptr && leader->wait_status && WIFEXITED(*leader->wait_status)) {
      out.exit_code = WEXITSTATUS(*leader->wait_status);
    }
    out.syscalls = index.syscalls_until(it->thread, it->event);
    out.mark.kind = replay::Mark::Kind::syscall_entry;
    out.mark.thread = out.thread;
    out.mark.ordinal = out.syscalls;
    return out;
  }
  return Error{ErrorCode::not_found,
               fmt::format("the trace does not show the end of process {}", process.value)};
}

Result<replay::CrashCandidate> failure_or_end(const replay::TraceIndex& index,
                                              std::optional<ProcessId> process) {
  if (process) return end_of_process(index, *process);
  const auto candidates = index.crash_candidates();
  if (!candidates.empty()) return candidates.front();
  const replay::TraceThread* first = index.thread(index.first_thread());
  if (first == nullptr) return Error{ErrorCode::not_found, "the trace has no process"};
  return end_of_process(index, first->process);
}

}  // namespace culprit::provenance
