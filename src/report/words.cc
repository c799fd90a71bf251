#include "report/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "report/limits.h"
#include "report/sanitize.h"

namespace culprit::report {

std::string shown(std::string_view text) { return sanitize(text, kMaxShownName); }

std::string_view verb_of(HopKind kind) {
  switch (kind) {
    case HopKind::crash_report:
      return "the crash was noticed here";
    case HopKind::load:
      return "loaded";
    case HopKind::register_slice:
      return "passed on in registers";
    case HopKind::store:
      return "stored";
    case HopKind::runtime_store:
      return "the runtime recorded";
    case HopKind::block_copy:
      return "copied";
    case HopKind::stale_bytes:
      return "left as it was";
    case HopKind::kernel_write:
      return "the kernel wrote";
    case HopKind::foreign_write:
      return "written from outside the process";
    case HopKind::channel:
      return "received";
    case HopKind::remap:
      return "the mapping was replaced";
    case HopKind::arithmetic:
      return "computed";
    case HopKind::allocation:
      return "allocated";
    case HopKind::release:
      return "released";
    case HopKind::registration:
      return "registered";
    case HopKind::conflict:
      return "accessed without order";
    case HopKind::initial_image:
      return "there from the start";
    case HopKind::origin:
      return "born here";
  }
  return "";
}

std::string_view name_of(RegionKind region) {
  switch (region) {
    case RegionKind::stack:
      return "the stack";
    case RegionKind::runtime_stack:
      return "a stack of the runtime";
    case RegionKind::heap:
      return "the heap";
    case RegionKind::runtime_object:
      return "the runtime's memory";
    case RegionKind::global:
      return "static storage";
    case RegionKind::tls:
      return "thread-local storage";
    case RegionKind::code:
      return "code";
    case RegionKind::mapping:
      return "a mapping";
    case RegionKind::kernel:
      return "the kernel's pages";
    case RegionKind::unmapped:
      return "unmapped memory";
    case RegionKind::unknown:
      break;
  }
  return "memory";
}

std::string_view reason_of(StopReason reason) {
  switch (reason) {
    case StopReason::origin_found:
      return "the origin was found";
    case StopReason::kernel_input:
      return "the value came from outside the program";
    case StopReason::constant:
      return "the value is a constant in the code";
    case StopReason::arithmetic:
      return "the value was computed from several inputs";
    case StopReason::mapping_created:
      return "the bytes are those the mapping was created with";
    case StopReason::initial_image:
      return "the bytes were there before the first instruction";
    case StopReason::start_of_recording:
      return "the recording begins here";
    case StopReason::limit_reached:
      return "a limit was reached";
    case StopReason::timeout:
      return "the time was up";
    case StopReason::decoder_unknown:
      return "the data flow of an instruction is not known";
    case StopReason::replay_diverged:
      return "the replay diverged from the recording";
    case StopReason::value_not_found:
      return "the reported value was not found in the program";
    case StopReason::writer_not_found:
      return "no write to the slot was seen";
    case StopReason::unexplained_change:
      return "nothing in the trace explains the change";
    case StopReason::interrupted:
      return "it was interrupted";
  }
  return "";
}

std::string label_of(HopKind kind) {
  std::string label(to_string(kind));
  std::replace(label.begin(), label.end(), '_', ' ');
  return label;
}

std::string title_of(const Verdict& verdict) {
  return shown(verdict.title.empty() ? info(verdict.bug_class).title
                                     : std::string_view(verdict.title));
}

std::string fix_of(const Verdict& verdict) {
  return sanitize(verdict.suggested_fix.empty() ? info(verdict.bug_class).fix
                                                : std::string_view(verdict.suggested_fix),
                  kMaxProse);
}

std::string stop_text(const Verdict& verdict) {
  std::string why = fmt::format("{} ({})", reason_of(verdict.stopped_because),
                                to_string(verdict.stopped_because));
  if (!verdict.stopped_detail.empty()) why += ": " + sanitize(verdict.stopped_detail, kMaxProse);
  return why;
}

std::string function_name(const std::string& demangled, const std::string& function) {
  return shown(demangled.empty() ? function : demangled);
}

std::string variable_name(const std::string& variable, const std::string& member) {
  std::string name = shown(variable);
  if (!member.empty()) name += (name.empty() || member.front() == '[' ? "" : ".") + shown(member);
  return name;
}

std::string_view base_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view short_path(std::string_view path, std::string_view directory) {
  if (directory.size() > 1 && path.size() > directory.size() + 1 && path.starts_with(directory) &&
      path[directory.size()] == '/') {
    return path.substr(directory.size() + 1);
  }
  if (!path.starts_with('/')) return path;
  const std::size_t last = path.rfind('/');
  const std::size_t before = last == 0 ? std::string_view::npos : path.rfind('/', last - 1);
  return before == std::string_view::npos ? path : path.substr(before + 1);
}

std::string place_text(std::string_view directory, const std::string& file, std::uint32_t line,
                       const std::string& module, const std::optional<std::uint64_t>& offset) {
  if (!file.empty()) {
    std::string text = shown(short_path(file, directory));
    if (line != 0) text += fmt::format(":{}", line);
    return text;
  }
  if (module.empty()) return "";
  std::string text = shown(base_name(module));
  if (offset) text += fmt::format("+{}", to_hex(*offset));
  return text;
}

std::string cause_text(const CauseSite& cause, std::string_view directory) {
  std::string line = variable_name(cause.variable, cause.member);
  const std::string where = shown(cause.function);
  const std::string at = place_text(directory, cause.file, cause.line, cause.module, std::nullopt);
  if (!where.empty()) line += (line.empty() ? "in " : " in ") + where;
  if (!at.empty()) line += (line.empty() ? "" : ", ") + at;
  return line;
}

std::string actor_of(const Hop& hop) {
  std::string name = function_name(hop.writer.demangled, hop.writer.function);
  if (!name.empty()) return name;
  if (hop.syscall) return "the kernel";
  name = place_text({}, {}, 0, hop.writer.module, hop.writer.module_offset);
  if (!name.empty()) return name;
  return hop.kind == HopKind::crash_report ? "crash" : "??";
}

std::string code_of(const Writer& writer) {
  std::string code = sanitize(writer.source_line.empty() ? writer.instruction : writer.source_line,
                              kMaxShownName, Lines::code);
  std::replace(code.begin(), code.end(), '\t', ' ');
  const std::size_t start = code.find_first_not_of(' ');
  return start == std::string::npos ? "" : code.substr(start);
}

std::string slot_name(const Location& location) {
  std::string name;
  if (location.owner) {
    const Owner& owner = *location.owner;
    name = variable_name(owner.variable, owner.member);
    if (name.empty() && owner.object_size) {
      name = fmt::format("offset {} of a block of {} bytes", owner.offset.value_or(0),
                         *owner.object_size);
    }
  }
  if (name.empty()) name = shown(location.description);
  return name.empty() ? std::string(name_of(location.region)) : name;
}

std::string slot_details(const Location& location, std::string_view directory) {
  if (!location.owner) return "";
  const Owner& owner = *location.owner;
  std::vector<std::string> details;
  if (!owner.type.empty()) details.push_back(shown(owner.type));
  if (!owner.function.empty()) details.push_back("local of " + shown(owner.function));
  if (!owner.allocator.empty()) details.push_back("from " + shown(owner.allocator));
  if (owner.frame_offset && owner.variable.empty()) {
    details.push_back(fmt::format("frame offset {}", *owner.frame_offset));
  }
  if (!owner.declared_file.empty()) {
    details.push_back(place_text(directory, owner.declared_file, owner.declared_line, "", {}));
  }
  return fmt::format("{}", fmt::join(details, ", "));
}

std::string syscall_text(const Syscall& call) {
  std::string text =
      call.name.empty() ? fmt::format("system call {}", call.number) : shown(call.name);
  std::vector<std::string> arguments;
  for (const std::uint64_t argument : call.arguments) {
    if (arguments.size() == 6) break;
    arguments.push_back(to_hex(argument));
  }
  text += fmt::format("({}) = {}", fmt::join(arguments, ", "), call.result);
  if (!call.path.empty()) text += " on " + shown(call.path);
  if (call.file_offset) text += fmt::format(" at offset {}", *call.file_offset);
  return text;
}

namespace {

std::string_view origin_of(SourceKind kind) {
  switch (kind) {
    case SourceKind::memory:
      return "memory";
    case SourceKind::register_:
      return "register ";
    case SourceKind::immediate:
      return "a constant in the code";
    case SourceKind::zero:
      return "zeroing";
    case SourceKind::address:
      return "the address of an object";
    case SourceKind::arithmetic:
      return "a computation";
    case SourceKind::syscall:
      return "the kernel";
    case SourceKind::file:
      return "a mapped file";
    case SourceKind::argument:
      return "the program's arguments or environment";
    case SourceKind::unknown:
      break;
  }
  return "";
}

}  // namespace

std::string source_text(const Hop& hop) {
  if (!hop.source || hop.source->kind == SourceKind::unknown) return "";
  const Source& s = *hop.source;
  std::string text = "the value came from ";
  // A described place in memory needs no other word.
  if (s.kind != SourceKind::memory || s.description.empty()) text += origin_of(s.kind);
  if (s.kind == SourceKind::register_) text += shown(s.register_name);
  if (!s.description.empty() && s.description != origin_of(s.kind)) {
    text += (text.ends_with(' ') ? "" : ", ") + shown(s.description);
  }
  if (s.address) text += fmt::format(" at {}", to_hex(*s.address));
  for (const Source& input : hop.inputs) {
    text += fmt::format("{}{}{}", &input == hop.inputs.data() ? "; inputs: " : ", ",
                        shown(input.description.empty() ? to_string(input.kind)
                                                        : std::string_view(input.description)),
                        input.value ? " = " + to_hex(*input.value) : "");
    if (input.followed && hop.inputs.size() > 1) text += " (followed)";
  }
  return text;
}

std::string moment_text(const Position& p) {
  std::string text;
  if (p.thread.value != 0) text = fmt::format("thread {}", p.thread.value);
  if (!p.thread_name.empty()) {
    text += fmt::format("{}({})", text.empty() ? "thread " : " ", shown(p.thread_name));
  }
  if (p.process.value != 0 && p.process.value != p.thread.value) {
    text += fmt::format("{}process {}", text.empty() ? "" : ", ", p.process.value);
  }
  if (p.event) text += fmt::format("{}event {}", text.empty() ? "" : ", ", p.event.value);
  return text;
}

std::string callers_text(const Hop& hop, std::string_view directory) {
  constexpr std::size_t kMaxShownFrames = 4;
  std::vector<std::string> callers;
  bool first = true;
  for (const Frame& frame : hop.backtrace) {
    const bool self = first && frame.function == hop.writer.function;
    first = false;
    if (self) continue;
    if (callers.size() == kMaxShownFrames) {
      callers.emplace_back("…");
      break;
    }
    std::string name = function_name(frame.demangled, frame.function);
    if (name.empty()) continue;
    const std::string at = place_text(directory, frame.file, frame.line, "", {});
    if (!at.empty()) name += " (" + at + ")";
    callers.push_back(std::move(name));
  }
  if (callers.empty()) return "";
  return fmt::format("called from {}", fmt::join(callers, " ← "));
}

std::string bytes_text(const Hop& hop) {
  if (!hop.bytes || hop.bytes->count == 0) return "";
  const ValueBytes& bytes = *hop.bytes;
  if (bytes.count == 1) return fmt::format("byte {} of the value", bytes.first);
  return fmt::format("bytes {}-{} of the value", bytes.first,
                     std::uint64_t{bytes.first} + bytes.count - 1);
}

bool has_value(const Hop& hop) {
  return hop.value_after && hop.kind != HopKind::release && hop.kind != HopKind::remap;
}

std::string deed_text(const Hop& hop) {
  if (!hop.summary.empty()) return sanitize(hop.summary, kMaxName);
  std::string line(verb_of(hop.kind));
  if (has_value(hop)) {
    line += (hop.kind == HopKind::crash_report ? ": " : " ") + to_hex(*hop.value_after);
  }
  if (hop.location) {
    const bool read = hop.kind == HopKind::load || hop.kind == HopKind::crash_report;
    line += read ? " from " : hop.kind == HopKind::stale_bytes ? " in " : " into ";
    line += slot_name(*hop.location);
  }
  return line;
}

std::string crash_text(const Crash& crash) {
  std::string first = sanitize(crash.message, kMaxProse, Lines::many);
  first = first.substr(0, first.find('\n'));
  std::string line;
  if (!crash.signal_name.empty()) line = shown(crash.signal_name);
  if (crash.fault_address) {
    line += fmt::format("{}at {}", line.empty() ? "" : " ", to_hex(*crash.fault_address));
  }
  if (!first.empty()) line += (line.empty() ? "" : ": ") + first;
  if (line.empty() && crash.kind != "user_named") line = shown(crash.kind);
  return line;
}

std::string suspect_text(const Suspect& suspect) {
  std::string text = to_hex(suspect.value);
  if (!suspect.description.empty()) text += ", " + shown(suspect.description);
  return text;
}

std::string command_line(const Program& program) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-:=@%,";
  std::string line;
  for (const std::string& argument : program.argv) {
    if (line.size() > kMaxName) {
      line += " …";
      break;
    }
    const std::string word = shown(argument);
    line += line.empty() ? "" : " ";
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return line;
}

double total_ms(const Stats& stats) {
  double sum = 0;
  for (const Stats::Phase& phase : stats.phases) {
    if (phase.name == "total") return phase.elapsed_ms;
    sum += phase.elapsed_ms;
  }
  return sum;
}

}  // namespace culprit::report
