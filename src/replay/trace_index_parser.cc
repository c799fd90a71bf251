#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include <algorithm>
#include <charconv>
#include <unordered_set>
#include <utility>

#include "replay/trace_index_data.h"

namespace culprit::replay {
namespace {

/// Takes `prefix` off the front of `text`.
bool skip(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// Takes a number off the front: decimal, or "0x" and hexadecimal digits, or "(nil)" for zero.
bool take_number(std::string_view& text, std::uint64_t& out) {
  if (skip(text, "(nil)")) {
    out = 0;
    return true;
  }
  const int base = skip(text, "0x") ? 16 : 10;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool take_tid(std::string_view& text, ThreadId& out) {
  std::uint64_t value = 0;
  if (!take_number(text, value) || value > 0x7fffffff) return false;
  out.value = static_cast<std::int32_t>(value);
  return true;
}

/// The number after the first `key` in `text`.
bool number_after(std::string_view text, std::string_view key, std::uint64_t& out) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos) return false;
  text.remove_prefix(at + key.size());
  return take_number(text, out);
}

int signal_number(std::string_view name) {
  for (int number = 1; number <= 31; ++number) {
    const char* abbreviation = ::sigabbrev_np(number);
    if (abbreviation != nullptr && name.starts_with("SIG") && name.substr(3) == abbreviation) {
      return number;
    }
  }
  // rr 5.6 src/kernel_metadata.cc, signal_name(): "SIGRT34", and "signal(99)" for the rest.
  std::uint64_t number = 0;
  std::string_view rest = name;
  if ((skip(rest, "SIGRT") || skip(rest, "signal(")) && take_number(rest, number) && number <= 64) {
    return static_cast<int>(number);
  }
  return -1;
}

bool changes_mappings(std::int32_t number) {
  switch (number) {
    case SYS_mmap:
    case SYS_munmap:
    case SYS_mremap:
    case SYS_mprotect:
    case SYS_pkey_mprotect:
    case SYS_brk:
    case SYS_shmat:
    case SYS_shmdt:
    case SYS_execve:
    case SYS_execveat:
      return true;
    default:
      return false;
  }
}

constexpr std::uint64_t kCloneThread = 0x10000;  // linux/sched.h

}  // namespace

std::uint32_t TraceIndex::Data::intern(std::string_view text) {
  const auto [found, added] =
      string_ids.try_emplace(std::string(text), static_cast<std::uint32_t>(strings.size()));
  if (added) strings.emplace_back(text);
  return found->second;
}

TraceIndex::Data::Calls* TraceIndex::Data::calls_of(ThreadId thread) {
  const auto found = calls.find(thread);
  return found == calls.end() ? nullptr : &found->second;
}

const TraceIndex::Data::Calls* TraceIndex::Data::calls_of(ThreadId thread) const {
  const auto found = calls.find(thread);
  return found == calls.end() ? nullptr : &found->second;
}

const TraceThread* TraceIndex::Data::find_thread(ThreadId thread) const {
  const auto found = thread_index.find(thread);
  return found == thread_index.end() ? nullptr : &threads[found->second];
}

/// Where the parser stands; one frame at a time.
struct TraceIndexParser::State {
  bool in_frame = false;
  std::unordered_set<ThreadId> entered_for_ptrace;  ///< saw ENTERING_SYSCALL_PTRACE, not the rest
};

TraceIndexParser::TraceIndexParser(TraceIndex::Limits limits)
    : data_(std::make_unique<TraceIndex::Data>()),
      state_(std::make_unique<State>()),
      limits_(limits) {
  data_->intern("");
}

TraceIndexParser::~TraceIndexParser() = default;

Status TraceIndexParser::feed(std::string_view text) {
  while (!text.empty() && !error_) {
    const std::size_t end = text.find('\n');
    const std::string_view piece = text.substr(0, end);
    const std::size_t room = limits_.line_length - std::min(partial_.size(), limits_.line_length);
    if (end == std::string_view::npos) {
      partial_.append(piece.substr(0, room));
      break;
    }
    if (partial_.empty()) {
      line(piece.substr(0, limits_.line_length));
    } else {
      partial_.append(piece.substr(0, room));
      line(partial_);
      partial_.clear();
    }
    text.remove_prefix(end + 1);
  }
  if (error_) return *error_;
  return {};
}

Result<TraceIndex> TraceIndexParser::finish() {
  if (!error_ && !partial_.empty()) line(std::exchange(partial_, {}));
  if (error_) return *error_;
  if (data_->frames.empty()) {
    return Error{ErrorCode::bad_input, "the trace has no events: rr dump printed none"};
  }
  TraceIndex::Data& data = *data_;
  // The last entries that never returned (exit_group, a wait that was cut off) keep their
  // registers.
  for (auto& [thread, calls] : data.calls) {
    if (!calls.inside || calls.entries.empty()) continue;
    data.frames[calls.entries.back()].registers = static_cast<std::uint32_t>(data.registers.size());
    data.registers.push_back(calls.entry_registers);
  }
  for (TraceThread& thread : data.threads) {
    if (const auto* calls = data.calls_of(thread.thread)) thread.syscalls = calls->entries.size();
  }
  data.frames.shrink_to_fit();
  data.registers.shrink_to_fit();
  data.writes.shrink_to_fit();
  return TraceIndex(std::move(data_));
}

void TraceIndexParser::line(std::string_view text) {
  if (text == "{") {
    state_->in_frame = false;
    return;
  }
  if (text == "}" || text.empty()) return;
  std::string_view rest = text;
  bool known = false;
  if (skip(rest, "  real_time:")) {
    known = header(rest);
  } else if (!state_->in_frame) {
    known = false;
  } else if (rest.starts_with("rax:0x")) {
    known = register_line(rest);
  } else if (skip(rest, "  TraceTaskEvent::")) {
    known = task_event(rest);
  } else if (skip(rest, "  { map_file:\"")) {
    known = mapping(rest);
  } else if (skip(rest, "  { tid:")) {
    known = memory_write(rest);
  }
  if (!known) ++data_->skipped;
}

bool TraceIndexParser::header(std::string_view text) {
  state_->in_frame = false;
  std::uint64_t number = 0;
  if (!number_after(text, "global_time:", number) || number > 0x7fffffffffffffff) return false;
  std::size_t at = text.find("event:`");
  if (at == std::string_view::npos) return false;
  text.remove_prefix(at + 7);
  at = text.find('\'');
  if (at == std::string_view::npos) return false;
  std::string_view name = text.substr(0, at);
  text.remove_prefix(at + 1);

  Frame frame;
  frame.event = EventNumber{static_cast<std::int64_t>(number)};
  // Frames are numbered upwards; anything else is not a trace, and binary search would go wrong.
  if (!data_->frames.empty() && frame.event <= data_->frames.back().event) return false;
  at = text.find(" tid:");
  if (at == std::string_view::npos) return false;
  const std::string_view state = text.substr(0, at);
  text.remove_prefix(at + 5);
  if (!take_tid(text, frame.thread)) return false;
  std::uint64_t ticks = 0;
  if (number_after(text, " ticks:", ticks) && ticks != 0) data_->ticks = true;

  const auto signal = [&](FrameKind kind) {
    frame.kind = kind;
    const std::size_t bracket = name.find('(');
    frame.number = signal_number(name.substr(0, bracket));
    frame.deterministic =
        bracket != std::string_view::npos && name.substr(bracket).starts_with("(det");
  };
  if (skip(name, "SYSCALL: ")) {
    if (state.find("state:ENTERING_SYSCALL") != std::string_view::npos) {
      frame.kind = FrameKind::syscall_entry;
    } else if (state.find("state:EXITING_SYSCALL") != std::string_view::npos) {
      frame.kind = FrameKind::syscall_exit;
    }
  } else if (skip(name, "SIGNAL: ")) {
    signal(FrameKind::signal);
  } else if (skip(name, "SIGNAL_DELIVERY: ")) {
    signal(FrameKind::signal_delivery);
  } else if (skip(name, "SIGNAL_HANDLER: ")) {
    signal(FrameKind::signal_handler);
  } else if (name == "INSTRUCTION_TRAP") {
    frame.kind = FrameKind::instruction_trap;
  } else if (name == "SCHED") {
    frame.kind = FrameKind::sched;
  } else if (name == "EXIT") {
    frame.kind = FrameKind::exit;
  }

  if (data_->frames.size() >= limits_.frames) {
    error_ = Error{ErrorCode::bad_input, "the trace has more events than this tool can index"};
    return true;
  }
  const auto index = static_cast<std::uint32_t>(data_->frames.size());
  TraceIndex::Data::Calls& calls = data_->calls[frame.thread];
  if (calls.first_frame == TraceIndex::Data::none) calls.first_frame = index;
  if (frame.kind == FrameKind::syscall_entry) {
    if (calls.inside && !calls.entries.empty() &&
        data_->frames[calls.entries.back()].kind == FrameKind::syscall_entry &&
        state_->entered_for_ptrace.contains(frame.thread)) {
      // The second frame of one entry (after ENTERING_SYSCALL_PTRACE).
      frame.kind = FrameKind::other;
    } else {
      calls.entries.push_back(index);
      calls.exits.push_back(TraceIndex::Data::none);
      calls.inside = true;
    }
    if (state.find("ENTERING_SYSCALL_PTRACE") != std::string_view::npos) {
      state_->entered_for_ptrace.insert(frame.thread);
    } else {
      state_->entered_for_ptrace.erase(frame.thread);
    }
  }
  if (data_->frames.empty() && data_->threads.empty()) {
    add_thread(frame.thread, ProcessId{frame.thread.value}, ThreadId{0}, frame.event);
  }
  data_->frames.push_back(frame);
  state_->in_frame = true;
  return true;
}

bool TraceIndexParser::register_line(std::string_view text) {
  Frame& frame = data_->frames.back();
  const bool call = frame.kind == FrameKind::syscall_entry || frame.kind == FrameKind::syscall_exit;
  if (!call && frame.kind != FrameKind::signal && frame.kind != FrameKind::signal_handler &&
      frame.kind != FrameKind::signal_delivery) {
    return true;
  }
  FrameRegisters registers;
  std::uint64_t original = ~std::uint64_t{0};
  // "name:0xvalue name:0xvalue ...", the general registers first, then perhaps the wider ones of the FPU
  // (st0:, ..., ymm15:).
  for (int field = 0; field < 40 && !text.empty(); ++field) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) break;
    const std::string_view name = text.substr(0, colon);
    if (name == "st0") break;
    text.remove_prefix(colon + 1);
    std::uint64_t value = 0;
    if (!take_number(text, value)) return false;
    skip(text, " ");
    constexpr std::string_view arguments[] = {"rdi", "rsi", "rdx", "r10", "r8", "r9"};
    for (std::size_t i = 0; i < 6; ++i) {
      if (name == arguments[i]) registers.arguments[i] = value;
    }
    if (name == "rax") registers.result = static_cast<std::int64_t>(value);
    if (name == "rip") registers.rip = value;
    if (name == "rsp") registers.rsp = value;
    if (name == "orig_rax") original = value;
  }
  TraceIndex::Data::Calls& calls = data_->calls[frame.thread];
  if (call && original <= 0xffff) frame.number = static_cast<std::int32_t>(original);
  if (frame.kind == FrameKind::syscall_entry) {
    calls.entry_registers = registers;
    return true;
  }
  if (frame.kind == FrameKind::syscall_exit) {
    const auto index = static_cast<std::uint32_t>(data_->frames.size() - 1);
    if (calls.inside) {
      calls.inside = false;
      calls.exits.back() = index;
      // The call may have replaced the registers (execve, rt_sigreturn).
      registers.arguments = calls.entry_registers.arguments;
      frame.number = data_->frames[calls.entries.back()].number;
    }
    if (changes_mappings(frame.number)) data_->map_frames.push_back(index);
  }
  frame.registers = static_cast<std::uint32_t>(data_->registers.size());
  data_->registers.push_back(registers);
  return true;
}

void TraceIndexParser::add_thread(ThreadId thread, ProcessId process, ThreadId parent,
                                  EventNumber event) {
  if (data_->threads.size() >= limits_.tasks) {
    error_ = Error{ErrorCode::bad_input, "the trace has more threads than this tool can index"};
    return;
  }
  data_->thread_index[thread] = data_->threads.size();
  data_->threads.push_back({thread, process, parent, event, {}, std::nullopt, 0, {}});
}

bool TraceIndexParser::task_event(std::string_view text) {
  const EventNumber event = data_->frames.back().event;
  ThreadId thread;
  const auto index_of = [&](ThreadId id) -> TraceThread* {
    const auto found = data_->thread_index.find(id);
    return found == data_->thread_index.end() ? nullptr : &data_->threads[found->second];
  };
  if (skip(text, "CLONE tid=")) {
    ThreadId parent;
    std::uint64_t flags = 0;
    if (!take_tid(text, thread) || !skip(text, " parent=") || !take_tid(text, parent) ||
        !number_after(text, "clone_flags=", flags)) {
      return false;
    }
    const TraceThread* from = index_of(parent);
    const bool same = (flags & kCloneThread) != 0 && from != nullptr;
    const std::string executable = from != nullptr ? from->executable : std::string();
    add_thread(thread, same ? from->process : ProcessId{thread.value}, parent, event);
    if (error_) return true;
    data_->threads.back().executable = executable;
    data_->clones.push_back({event, parent, thread, flags});
    return true;
  }
  if (skip(text, "EXEC tid=")) {
    if (!take_tid(text, thread) || !skip(text, " file=")) return false;
    data_->execs.push_back({event, thread, std::string(text)});
    if (TraceThread* known = index_of(thread)) known->executable = std::string(text);
    return true;
  }
  if (skip(text, "EXIT tid=")) {
    std::uint64_t status = 0;
    if (!take_tid(text, thread) || !skip(text, " status=") || !take_number(text, status) ||
        status > 0x7fffffff) {
      return false;
    }
    if (TraceThread* known = index_of(thread)) {
      known->ended = event;
      known->wait_status = static_cast<int>(status);
    }
    return true;
  }
  return false;
}

bool TraceIndexParser::mapping(std::string_view text) {
  // The path may hold anything, quotes too: the fields after it are found from the right.
  const std::size_t end = text.rfind("\", addr:");
  if (end == std::string_view::npos) return false;
  const std::string_view path = text.substr(0, end);
  std::string_view rest = text.substr(end);
  TraceMapping mapping;
  mapping.event = data_->frames.back().event;
  mapping.thread = data_->frames.back().thread;
  if (!number_after(rest, "addr:", mapping.range.start.value) ||
      !number_after(rest, "length:", mapping.range.size) ||
      !number_after(rest, "file_offset:", mapping.file_offset) ||
      !number_after(rest, "data_offset:", mapping.data_offset) ||
      !number_after(rest, "file_size:", mapping.file_size)) {
    return false;
  }
  if (mapping.range.size > ~mapping.range.start.value) return false;
  const std::size_t prot = rest.find("prot_flags:\"");
  const std::size_t data = rest.find("data_file:\"");
  const std::size_t data_end = rest.rfind("\", data_offset:");
  if (prot == std::string_view::npos || rest.size() < prot + 16 || data == std::string_view::npos ||
      data_end == std::string_view::npos || data_end < data + 11) {
    return false;
  }
  for (std::size_t i = 0; i < 4; ++i) mapping.prot[i] = rest[prot + 12 + i];
  if (data_->mappings.size() >= limits_.mappings) {
    error_ = Error{ErrorCode::bad_input, "the trace has more mappings than this tool can index"};
    return true;
  }
  mapping.path = data_->intern(path);
  mapping.data_file = data_->intern(rest.substr(data + 11, data_end - data - 11));
  data_->mappings.push_back(mapping);
  return true;
}

bool TraceIndexParser::memory_write(std::string_view text) {
  KernelWrite write;
  write.event = data_->frames.back().event;
  write.thread = data_->frames.back().thread;
  if (!take_tid(text, write.target) || !skip(text, ", addr:") ||
      !take_number(text, write.range.start.value) || !skip(text, ", length:") ||
      !take_number(text, write.range.size)) {
    return false;
  }
  if (write.range.size == 0 || write.range.size > ~write.range.start.value) return true;
  if (data_->writes.size() >= limits_.writes) {
    error_ = Error{ErrorCode::bad_input, "the trace has more writes than this tool can index"};
    return true;
  }
  data_->writes.push_back(write);
  return true;
}

}  // namespace culprit::replay
