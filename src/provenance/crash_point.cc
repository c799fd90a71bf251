#include "provenance/crash_point.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "provenance/pass_stats.h"
#include "provenance/probes.h"
#include "provenance/process_image.h"

namespace culprit::provenance {
namespace {

constexpr std::string_view kForms =
    "say --at exit, --at write:REGEX or --at fn:SYMBOL (fn:SYMBOL#K for the K-th entry)";

Result<ChosenPoint> find_write(const replay::TraceIndex& index, const CrashPoint& point,
                               std::optional<ProcessId> process, const OutputSource& output) {
  CULPRIT_ASSIGN(std::vector<replay::OutputWrite> writes, output());
  if (process) {
    std::erase_if(writes, [&](const replay::OutputWrite& write) {
      const replay::TraceThread* thread = index.thread(write.thread);
      return thread == nullptr || thread->process != *process;
    });
  }
  const replay::OutputWrite* match = first_match(writes, *point.pattern);
  const replay::TraceThread* thread = match == nullptr ? nullptr : index.thread(match->thread);
  if (thread == nullptr) {
    return Error{ErrorCode::usage,
                 fmt::format("--at write: none of {} writes to stdout and stderr matches '{}'",
                             writes.size(), point.pattern->text())};
  }
  ChosenPoint out;
  if (auto end = end_of_process(index, thread->process); end.ok())
    out.moment.exit_code = end->exit_code;
  out.message = match->bytes;
  out.moment.kind = replay::CrashCandidate::Kind::exit_code;
  out.moment.thread = match->thread;
  out.moment.process = thread->process;
  out.moment.event = match->event;
  out.moment.syscalls = match->ordinal;
  out.moment.mark = entry_mark(match->thread, match->ordinal);
  return out;
}

/// Keeps where the K-th entry was.
class LastEntryObserver : public replay::PassObserver {
 public:
  void on_end(const replay::Position& at, const Registers&, const replay::LiveState&) override {
    position = at;
  }
  std::optional<replay::Position> position;
};

Result<ChosenPoint> find_entry(replay::Replay& replay, const replay::TraceIndex& index,
                               const CrashPoint& point, std::optional<ProcessId> process,
                               const binary::DebugFileSearch& debug_files,
                               std::chrono::milliseconds deadline, report::Stats& stats) {
  CULPRIT_ASSIGN(const replay::CrashCandidate end, failure_or_end(index, process));
  const ProcessImage image(index, end.process, end.event, {}, debug_files);
  const binary::Module* main = image.modules().main_module();
  std::vector<Address> entries;
  // The program's own function, before one of the same name in a library.
  if (main != nullptr) entries = image.symbols().function_entries(point.function, main);
  if (entries.empty()) entries = image.symbols().function_entries(point.function);
  if (entries.empty()) {
    return Error{ErrorCode::usage,
                 fmt::format("--at fn: there is no function '{}'", point.function)};
  }
  if (entries.size() > 1) {
    return Error{ErrorCode::usage,
                 fmt::format("--at fn: there are {} functions '{}': say its linkage name",
                             entries.size(), point.function)};
  }
  const replay::Mark mark =
      hit_mark(execution_of(entries.front(), image, std::nullopt), point.ordinal);
  replay::PassSpec spec;
  spec.end = mark;
  spec.probes.push_back(mark.probe);
  spec.probes.front().keep_last = 1;  // for the count of entries
  spec.deadline = deadline;
  LastEntryObserver observer;
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
  count(stats, pass);
  if (!observer.position) {
    return Error{ErrorCode::usage,
                 fmt::format("--at fn: {} was entered {} times, not {}", point.function,
                             pass.matches.empty() ? 0 : pass.matches.front(), point.ordinal)};
  }
  ChosenPoint out;
  out.moment = end;
  out.moment.kind = replay::CrashCandidate::Kind::exit_code;
  out.moment.signal = 0;
  out.moment.deterministic = false;
  out.moment.thread = observer.position->thread;
  out.moment.event = index.event_of(*observer.position);
  out.moment.syscalls = observer.position->syscalls;
  out.moment.mark = mark;
  return out;
}

}  // namespace

Result<CrashPoint> parse_crash_point(std::string_view text) {
  CrashPoint out;
  if (text == "exit") return out;
  constexpr std::string_view kWrite = "write:";
  constexpr std::string_view kFunction = "fn:";
  if (text.starts_with(kWrite)) {
    out.kind = CrashPoint::Kind::write;
    auto pattern = Pattern::compile(text.substr(kWrite.size()));
    if (!pattern.ok()) return pattern.error().with_context("--at write");
    out.pattern = *std::move(pattern);
    return out;
  }
  if (text.starts_with(kFunction)) {
    out.kind = CrashPoint::Kind::function;
    std::string_view name = text.substr(kFunction.size());
    const std::size_t hash = name.rfind('#');
    if (hash != std::string_view::npos) {
      const std::string_view digits = name.substr(hash + 1);
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), out.ordinal);
      if (error != std::errc{} || end != digits.data() + digits.size() || out.ordinal == 0) {
        return Error{ErrorCode::usage,
                     fmt::format("--at {}: no count after '#'; {}", text.substr(0, 80), kForms)};
      }
      name = name.substr(0, hash);
    }
    if (!name.empty()) {
      out.function = name;
      return out;
    }
  }
  return Error{ErrorCode::usage, fmt::format("--at {}: {}", text.substr(0, 80), kForms)};
}

const replay::OutputWrite* first_match(const std::vector<replay::OutputWrite>& writes,
                                       const Pattern& pattern) {
  constexpr std::size_t kLongestLine = std::size_t{64} << 10;
  std::array<std::string, 2> unfinished;
  for (const replay::OutputWrite& write : writes) {
    std::string& line = unfinished[write.stream == 2 ? 1 : 0];
    line += write.bytes;
    if (pattern.found_in(line)) return &write;
    const std::size_t end = line.rfind('\n');
    if (end != std::string::npos) line.erase(0, end + 1);
    if (line.size() > kLongestLine) line.erase(0, line.size() - kLongestLine);
  }
  return nullptr;
}

Result<ChosenPoint> find_crash_point(replay::Replay& replay, const replay::TraceIndex& index,
                                     const CrashPoint& point, std::optional<ProcessId> process,
                                     const OutputSource& output,
                                     const binary::DebugFileSearch& debug_files,
                                     std::chrono::milliseconds deadline, report::Stats& stats) {
  switch (point.kind) {
    case CrashPoint::Kind::write:
      return find_write(index, point, process, output);
    case CrashPoint::Kind::function:
      return find_entry(replay, index, point, process, debug_files, deadline, stats);
    case CrashPoint::Kind::exit:
      break;
  }
  ChosenPoint out;
  CULPRIT_ASSIGN(out.moment, failure_or_end(index, process));
  return out;
}

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
    out.mark = entry_mark(out.thread, out.syscalls);
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
