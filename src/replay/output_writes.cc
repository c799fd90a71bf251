#include "replay/output_writes.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "replay/rr_process.h"

namespace culprit::replay {
namespace {

constexpr std::size_t kMostBytes = std::size_t{64} << 20;

/// "[rr PID EVENT]" at the start of `text`, taken off.
std::optional<EventNumber> take_mark(std::string_view& text) {
  constexpr std::string_view kBegin = "[rr ";
  constexpr std::size_t kLongest = 64;
  if (!text.starts_with(kBegin)) return std::nullopt;
  const std::size_t end = text.substr(0, kLongest).find(']');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view numbers = text.substr(kBegin.size(), end - kBegin.size());
  const std::size_t space = numbers.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const std::string_view event = numbers.substr(space + 1);
  EventNumber out;
  const auto [stop, error] = std::from_chars(event.data(), event.data() + event.size(), out.value);
  if (error != std::errc{} || stop != event.data() + event.size()) return std::nullopt;
  text.remove_prefix(end + 1);
  return out;
}

}  // namespace

std::vector<OutputWrite> parse_marked_output(std::string_view text, int stream,
                                             const TraceIndex& index) {
  std::vector<OutputWrite> out;
  EventNumber last;
  while (!text.empty()) {
    const auto event = take_mark(text);
    const Frame* entry = event && *event > last ? index.frame(*event) : nullptr;
    if (entry == nullptr || entry->kind != FrameKind::syscall_entry) {
      // A line of rr's own.
      const std::size_t next = text.find("[rr ", 1);
      text.remove_prefix(std::min(next, text.size()));
      continue;
    }
    last = *event;
    OutputWrite write;
    write.stream = stream;
    write.event = *event;
    write.thread = entry->thread;
    write.ordinal = index.syscalls_until(entry->thread, *event);
    const Frame* exit = index.frame(index.event_of_syscall_exit(write.thread, write.ordinal));
    const FrameRegisters* registers = exit == nullptr ? nullptr : index.registers_of(*exit);
    if (registers == nullptr || registers->result < 0) break;
    const auto size = static_cast<std::uint64_t>(registers->result);
    if (size > text.size()) break;
    write.bytes = text.substr(0, size);
    text.remove_prefix(size);
    out.push_back(std::move(write));
  }
  return out;
}

Result<std::vector<OutputWrite>> output_writes(const std::filesystem::path& trace,
                                               const RrCommand& command, const TraceIndex& index,
                                               std::chrono::milliseconds deadline) {
  ProcessOptions options = rr_process_options(command, -1);
  options.argv = {command.rr.string(), "-M", "replay", "-a", trace.string()};
  options.out.kind = OutputMode::Kind::capture;
  options.out.limit = kMostBytes;
  options.err.limit = kMostBytes;
  CULPRIT_ASSIGN(const ProcessResult run, run_process(options, deadline));
  if (run.timed_out) {
    return Error{ErrorCode::timeout, "the replay that shows the program's output did not end"};
  }
  if (!run.status.success()) {
    return Error{ErrorCode::replay_failed, "the replay that shows the program's output failed: " +
                                               rr_complaint(run.err.text, run.status.describe())};
  }
  std::vector<OutputWrite> out = parse_marked_output(run.out.text, 1, index);
  for (OutputWrite& write : parse_marked_output(run.err.text, 2, index))
    out.push_back(std::move(write));
  std::stable_sort(out.begin(), out.end(),
                   [](const OutputWrite& a, const OutputWrite& b) { return a.event < b.event; });
  return out;
}

}  // namespace culprit::replay
