#include "report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "report/limits.h"
#include "report/sanitize.h"

namespace culprit::report {
namespace {

constexpr std::size_t kMaxShownFrames = 4;
constexpr std::size_t kMaxShownName = 300;

enum class Style { plain, title, heading, strong, faint, good, fair, open };

// The visible width of UTF-8 text, escape sequences of our own left out: East Asian wide characters
// and emoji take two columns, combining marks none.
std::size_t columns_of(std::uint32_t code) {
  if ((code >= 0x300 && code <= 0x36F) || (code >= 0xFE00 && code <= 0xFE0F)) return 0;
  const bool wide = (code >= 0x1100 && code <= 0x115F) || (code >= 0x2E80 && code <= 0xA4CF) ||
                    (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
                    (code >= 0xFE30 && code <= 0xFE6F) || (code >= 0xFF00 && code <= 0xFF60) ||
                    (code >= 0xFFE0 && code <= 0xFFE6) || (code >= 0x1F300 && code <= 0x1FAFF) ||
                    (code >= 0x20000 && code <= 0x3FFFD);
  return wide ? 2 : 1;
}

// The length in bytes and the columns of the unit (character or escape sequence) at `at`.
struct Unit {
  std::size_t bytes = 1;
  std::size_t columns = 1;
};

Unit unit_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  if (byte(0) == 0x1B) {  // "ESC [ … m", written by paint()
    const std::size_t end = text.find('m', at);
    return {end == std::string_view::npos ? text.size() - at : end - at + 1, 0};
  }
  std::uint32_t code = byte(0);
  std::size_t bytes = 1;
  if (code >= 0xF0) {
    code =
        (code & 0x07U) << 18 | (byte(1) & 0x3FU) << 12 | (byte(2) & 0x3FU) << 6 | (byte(3) & 0x3FU);
    bytes = 4;
  } else if (code >= 0xE0) {
    code = (code & 0x0FU) << 12 | (byte(1) & 0x3FU) << 6 | (byte(2) & 0x3FU);
    bytes = 3;
  } else if (code >= 0xC0) {
    code = (code & 0x1FU) << 6 | (byte(1) & 0x3FU);
    bytes = 2;
  }
  return {std::min(bytes, text.size() - at), columns_of(code)};
}

std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Unit unit = unit_at(text, at);
    width += unit.columns;
    at += unit.bytes;
  }
  return width;
}

// --- wording -------------------------------------------------------------------------------------

std::string clean(std::string_view text) { return sanitize(text, kMaxShownName); }

std::string function_of(const std::string& demangled, const std::string& function) {
  return clean(demangled.empty() ? function : demangled);
}

std::string_view verb_of(const Hop& hop) {
  switch (hop.kind) {
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

// --- layout --------------------------------------------------------------------------------------

class TextWriter {
 public:
  TextWriter(const Report& report, const TextOptions& options)
      : report_(report),
        options_(options),
        columns_(std::clamp<std::size_t>(options.columns, 40, 400)) {}

  std::string run() {
    verdict();
    crash();
    chain();
    revisits();
    remarks();
    return std::move(out_);
  }

 private:
  // Verdict first: what, where, why, and what to do.
  void verdict() {
    const Verdict& v = report_.verdict;
    const BugClassInfo& bug = info(v.bug_class);
    const std::string title = clean(v.title.empty() ? std::string(bug.title) : v.title);
    paragraph(0, 0, paint(title, Style::title) + "  " + tag(v.confidence));
    if (v.cause) {
      std::string where = site(*v.cause);
      if (!where.empty()) paragraph(2, 2, paint(where, Style::strong));
    }
    blank();
    if (!v.explanation.empty()) {
      text_block(2, v.explanation);
      blank();
    }
    const std::string fix = v.suggested_fix.empty() ? std::string(bug.fix) : v.suggested_fix;
    paragraph(2, 7, paint("Fix:", Style::heading) + " " + sanitize(fix, kMaxProse));
    if (!complete(report_)) {
      std::string why =
          fmt::format("{} ({})", reason_of(v.stopped_because), to_string(v.stopped_because));
      if (!v.stopped_detail.empty()) why += ": " + sanitize(v.stopped_detail, kMaxProse);
      paragraph(2, 4, paint("The chain is incomplete:", Style::open) + " " + why);
    }
    blank();
  }

  std::string site(const CauseSite& cause) const {
    std::string what = clean(cause.variable);
    if (!cause.member.empty()) what += (what.empty() ? "" : ".") + clean(cause.member);
    std::string where = clean(cause.function);
    std::string at = place(cause.file, cause.line, cause.module, std::nullopt);
    std::string line = what;
    if (!where.empty()) line += (line.empty() ? "in " : " in ") + where;
    if (!at.empty()) line += (line.empty() ? "" : ", ") + at;
    return line;
  }

  void crash() {
    const Crash& c = report_.crash;
    std::string first = sanitize(c.message, kMaxProse, Lines::many);
    first = first.substr(0, first.find('\n'));
    std::string line;
    if (!c.signal_name.empty()) line = clean(c.signal_name);
    if (c.fault_address)
      line += fmt::format("{}at {}", line.empty() ? "" : " ", to_hex(*c.fault_address));
    if (!first.empty()) line += (line.empty() ? "" : ": ") + first;
    if (line.empty() && c.kind != "user_named") line = clean(c.kind);
    if (!line.empty()) paragraph(0, 8, paint("Crash", Style::heading) + "   " + line);
    if (report_.suspect) {
      const Suspect& s = *report_.suspect;
      std::string value = paint(to_hex(s.value), Style::strong);
      if (!s.description.empty()) value += ", " + clean(s.description);
      if (!s.how_chosen.empty()) value += " (" + sanitize(s.how_chosen, kMaxProse) + ")";
      paragraph(0, 8, paint("Value", Style::heading) + "   " + value);
    }
    blank();
  }

  void chain() {
    if (report_.hops.empty()) return;
    paragraph(0, 0,
              paint("How the value got there, from the crash back to its origin", Style::heading));
    blank();
    const std::size_t shown = std::min(report_.hops.size(), kMaxHops);
    for (std::size_t i = 0; i < shown; ++i) {
      hop(report_.hops[i]);
      blank();
    }
  }

  void hop(const Hop& h) {
    const std::size_t margin = h.main_line ? 0 : 4;
    const std::size_t body = margin + 5;
    const Writer& w = h.writer;
    std::string head = function_of(w.demangled, w.function);
    const std::string at = place(w.file, w.line, w.module, w.module_offset);
    if (head.empty() && h.syscall) head = "the kernel";
    if (head.empty()) head = fmt::format("{}", h.kind == HopKind::crash_report ? "crash" : "??");
    std::string line = paint(fmt::format("{:>3}  ", fmt::format("#{}", h.index)), Style::strong) +
                       paint(head, Style::strong);
    if (!at.empty()) line += "  " + at;
    line += "  " + tag(h.confidence);
    paragraph(margin, body, line);
    if (!h.main_line && h.parent) {
      paragraph(body, body + 2,
                paint(fmt::format("side branch of #{}{}", *h.parent, bytes(h)), Style::faint));
    } else if (h.bytes && h.bytes->count < 8) {
      paragraph(body, body + 2, paint(bytes(h).substr(2), Style::faint));
    }
    std::string code =
        sanitize(w.source_line.empty() ? w.instruction : w.source_line, kMaxShownName, Lines::code);
    std::replace(code.begin(), code.end(), '\t', ' ');
    if (const std::size_t start = code.find_first_not_of(' '); start != std::string::npos) {
      paragraph(body, body + 4, paint("> " + code.substr(start), Style::faint));
    }
    deed(body, h);
    if (const std::string from = came_from(h); !from.empty()) paragraph(body, body + 2, from);
    if (const std::string who = who_and_when(h); !who.empty()) {
      paragraph(body, body + 2, paint(who, Style::faint));
    }
    if (options_.backtraces) {
      for (const Frame& frame : h.backtrace) backtrace_line(body + 2, frame);
    } else if (const std::string callers = called_from(h); !callers.empty()) {
      paragraph(body, body + 2, paint(callers, Style::faint));
    }
    if (!h.note.empty()) text_block(body, h.note);
  }

  static std::string bytes(const Hop& h) {
    if (!h.bytes || h.bytes->count == 0) return "";
    if (h.bytes->count == 1) return fmt::format(", byte {} of the value", h.bytes->first);
    return fmt::format(", bytes {}-{} of the value", h.bytes->first,
                       std::uint64_t{h.bytes->first} + h.bytes->count - 1);
  }

  // The deed: the summary if the hop has one, with the values and the slot on a line of their own;
  // else a sentence of all of them.
  void deed(std::size_t indent, const Hop& h) {
    const std::size_t hanging = indent + 2;
    const bool has_value = h.value_after && h.kind != HopKind::release && h.kind != HopKind::remap;
    const std::string value = has_value ? paint(to_hex(*h.value_after), Style::strong) : "";
    const bool changed = h.value_before && has_value && *h.value_before != *h.value_after;
    const std::string slot = h.location ? location(*h.location) : "";
    const std::string by = h.syscall ? "by " + syscall(*h.syscall) : "";
    if (!h.summary.empty()) {
      paragraph(indent, hanging, sanitize(h.summary, kMaxName));
      std::string line = changed ? to_hex(*h.value_before) + " → " : "";
      line += value;
      if (!slot.empty()) line += (line.empty() ? "" : " in ") + slot;
      if (!by.empty()) line += (line.empty() ? "" : ", ") + by;
      if (!slot.empty() || !by.empty() || changed) paragraph(indent, hanging, line);
      return;
    }
    std::string line(verb_of(h));
    if (has_value) line += (h.kind == HopKind::crash_report ? ": " : " ") + value;
    if (!slot.empty()) {
      const bool read = h.kind == HopKind::load || h.kind == HopKind::crash_report;
      line += (read ? " from " : h.kind == HopKind::stale_bytes ? " in " : " into ") + slot;
    }
    if (changed) line += fmt::format(", where {} was before", to_hex(*h.value_before));
    if (!by.empty()) line += ", " + by;
    paragraph(indent, hanging, line);
  }

  std::string location(const Location& l) const {
    std::string text;
    if (l.owner) {
      const Owner& o = *l.owner;
      std::string name = clean(o.variable);
      if (!o.member.empty()) name += (name.empty() || o.member[0] == '[' ? "" : ".") + clean(o.member);
      if (name.empty() && o.object_size) {
        name =
            fmt::format("offset {} of a block of {} bytes", o.offset.value_or(0), *o.object_size);
      }
      if (name.empty()) name = clean(l.description);
      if (name.empty()) name = name_of(l.region);
      std::vector<std::string> details;
      if (!o.type.empty()) details.push_back(clean(o.type));
      if (!o.function.empty()) details.push_back("local of " + clean(o.function));
      if (!o.allocator.empty()) details.push_back("from " + clean(o.allocator));
      if (o.frame_offset && o.variable.empty()) {
        details.push_back(fmt::format("frame offset {}", *o.frame_offset));
      }
      if (!o.declared_file.empty()) {
        details.push_back(place(o.declared_file, o.declared_line, "", {}));
      }
      text = paint(name, Style::strong);
      if (!details.empty()) {
        text += fmt::format(" ({})", fmt::join(details, ", "));
      }
    }
    if (text.empty()) text = clean(l.description);
    if (text.empty()) text = name_of(l.region);
    text += fmt::format(" at {}", to_hex(l.address));
    if (l.owner && !l.owner->variable.empty() && l.owner->life.alive_at_write == false) {
      text += ", which did not exist then";
    }
    return text;
  }

  static std::string syscall(const Syscall& s) {
    std::string text = s.name.empty() ? fmt::format("system call {}", s.number) : clean(s.name);
    std::vector<std::string> arguments;
    for (const std::uint64_t argument : s.arguments) {
      if (arguments.size() == 6) break;
      arguments.push_back(to_hex(argument));
    }
    text += fmt::format("({}) = {}", fmt::join(arguments, ", "), s.result);
    if (!s.path.empty()) text += " on " + clean(s.path);
    if (s.file_offset) text += fmt::format(" at offset {}", *s.file_offset);
    return text;
  }

  std::string came_from(const Hop& h) const {
    if (!h.source || h.source->kind == SourceKind::unknown) return "";
    const Source& s = *h.source;
    std::string text = "the value came from ";
    switch (s.kind) {
      case SourceKind::memory:
        text += s.description.empty() ? "memory" : "";
        break;
      case SourceKind::register_:
        text += "register " + clean(s.register_name);
        break;
      case SourceKind::immediate:
        text += "a constant in the code";
        break;
      case SourceKind::zero:
        text += "zeroing";
        break;
      case SourceKind::address:
        text += "the address of an object";
        break;
      case SourceKind::arithmetic:
        text += "a computation";
        break;
      case SourceKind::syscall:
        text += "the kernel";
        break;
      case SourceKind::file:
        text += "a mapped file";
        break;
      case SourceKind::argument:
        text += "the program's arguments or environment";
        break;
      case SourceKind::unknown:
        break;
    }
    if (!s.description.empty()) {
      text += (text.ends_with(' ') ? "" : ", ") + clean(s.description);
    }
    if (s.address) text += fmt::format(" at {}", to_hex(*s.address));
    for (const Source& input : h.inputs) {
      text += fmt::format(
          "{}{}{}", &input == h.inputs.data() ? "; inputs: " : ", ",
          clean(input.description.empty() ? std::string(to_string(input.kind)) : input.description),
          input.value ? " = " + to_hex(*input.value) : "");
      if (input.followed && h.inputs.size() > 1) text += " (followed)";
    }
    return text;
  }

  static std::string who_and_when(const Hop& h) {
    const Position& p = h.position;
    std::string text;
    if (p.thread.value != 0) text = fmt::format("thread {}", p.thread.value);
    if (!p.thread_name.empty())
      text += fmt::format("{}({})", text.empty() ? "thread " : " ", clean(p.thread_name));
    if (p.process.value != 0 && p.process.value != p.thread.value) {
      text += fmt::format("{}process {}", text.empty() ? "" : ", ", p.process.value);
    }
    if (p.event) text += fmt::format("{}event {}", text.empty() ? "" : ", ", p.event.value);
    return text;
  }

  // The callers in one line, without the frame that the hop's head names.
  std::string called_from(const Hop& h) const {
    std::vector<std::string> callers;
    bool first = true;
    for (const Frame& frame : h.backtrace) {
      const bool self = first && frame.function == h.writer.function;
      first = false;
      if (self) continue;
      if (callers.size() == kMaxShownFrames) {
        callers.emplace_back("…");
        break;
      }
      std::string name = function_of(frame.demangled, frame.function);
      if (name.empty()) continue;
      const std::string at = place(frame.file, frame.line, "", {});
      if (!at.empty()) name += " (" + at + ")";
      callers.push_back(std::move(name));
    }
    if (callers.empty()) return "";
    return fmt::format("called from {}", fmt::join(callers, " ← "));
  }

  void backtrace_line(std::size_t indent, const Frame& frame) {
    std::string name = function_of(frame.demangled, frame.function);
    if (name.empty() && frame.pc) name = to_hex(*frame.pc);
    std::string line =
        name + "  " + place(frame.file, frame.line, frame.module, frame.module_offset);
    if (frame.inlined) line += "  (inlined)";
    if (frame.stack == StackKind::goroutine && frame.goroutine) {
      line += fmt::format("  [goroutine {}]", *frame.goroutine);
    } else if (frame.stack != StackKind::unknown && frame.stack != StackKind::native) {
      line += fmt::format("  [{} stack]", to_string(frame.stack));
    }
    paragraph(indent, indent + 4, paint(line, Style::faint));
  }

  // "import.c:31", relative to the program's directory where that is possible; else the module and
  // the offset in it.
  std::string place(const std::string& file, std::uint32_t line, const std::string& module,
                    const std::optional<std::uint64_t>& offset) const {
    if (!file.empty()) {
      std::string shown = clean(shorten(file));
      if (line != 0) shown += fmt::format(":{}", line);
      return shown;
    }
    if (module.empty()) return "";
    std::string shown = clean(std::string_view(module).substr(module.rfind('/') + 1));
    if (offset) shown += fmt::format("+{}", to_hex(*offset));
    return shown;
  }

  // Relative to the program's directory where that is possible, else the last two parts.
  std::string_view shorten(std::string_view path) const {
    const std::string& cwd = report_.program.cwd;
    if (cwd.size() > 1 && path.size() > cwd.size() + 1 && path.starts_with(cwd) &&
        path[cwd.size()] == '/') {
      return path.substr(cwd.size() + 1);
    }
    if (!path.starts_with('/')) return path;
    const std::size_t last = path.rfind('/');
    const std::size_t before = last == 0 ? std::string_view::npos : path.rfind('/', last - 1);
    return before == std::string_view::npos ? path : path.substr(before + 1);
  }

  void revisits() {
    bool any = false;
    for (const Hop& h : report_.hops) {
      if (!h.revisit || (h.revisit->command.empty() && h.revisit->gdb_commands.empty())) continue;
      if (!any) paragraph(0, 0, paint("How to go there", Style::heading));
      any = true;
      // Commands are not wrapped: they are there to be copied.
      out_ += fmt::format("{:>4}  {}\n", fmt::format("#{}", h.index),
                          sanitize(h.revisit->command, kMaxName));
      for (const std::string& command : h.revisit->gdb_commands) {
        out_ += fmt::format("        {} {}\n", "(gdb)", sanitize(command, kMaxName));
      }
    }
    if (any) blank();
  }

  void remarks() {
    for (const std::string& warning : report_.warnings) {
      paragraph(0, 9, paint("Warning:", Style::fair) + " " + clean(warning));
    }
    for (const std::string& limitation : report_.engine.limitations) {
      paragraph(0, 6, "Note: " + clean(limitation));
    }
    std::string line;
    if (!report_.engine.name.empty()) line = "Engine " + clean(report_.engine.name);
    const Stats& s = report_.stats;
    if (s.passes > 0) {
      double total = 0;
      for (const Stats::Phase& phase : s.phases) total += phase.elapsed_ms;
      line += fmt::format("{}{} replay {}", line.empty() ? "" : ", ", s.passes,
                          s.passes == 1 ? "pass" : "passes");
      if (total > 0) line += fmt::format(", {:.1f} s", total / 1000);
    }
    if (!report_.trace.directory.empty()) {
      line += fmt::format("{}trace {}", line.empty() ? "" : ", ", clean(report_.trace.directory));
    }
    if (!line.empty()) paragraph(0, 2, paint(line, Style::faint));
    while (out_.ends_with("\n\n")) out_.pop_back();
  }

  // --- primitives ---

  [[nodiscard]] std::string paint(std::string_view text, Style style) const {
    if (!options_.colour || text.empty()) return std::string(text);
    std::string_view code;
    switch (style) {
      case Style::plain:
        return std::string(text);
      case Style::title:
        code = "1;31";
        break;
      case Style::heading:
        code = "1;36";
        break;
      case Style::strong:
        code = "1";
        break;
      case Style::faint:
        code = "2";
        break;
      case Style::good:
        code = "32";
        break;
      case Style::fair:
        code = "33";
        break;
      case Style::open:
        code = "35";
        break;
    }
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
  }

  [[nodiscard]] std::string tag(Confidence confidence) const {
    const Style style = confidence == Confidence::proved   ? Style::good
                        : confidence == Confidence::likely ? Style::fair
                                                           : Style::open;
    return paint(fmt::format("[{}]", to_string(confidence)), style);
  }

  void blank() {
    if (!out_.empty() && !out_.ends_with("\n\n")) out_ += '\n';
  }

  // Several lines of somebody's prose, each wrapped by itself.
  void text_block(std::size_t indent, std::string_view prose) {
    const std::string text = sanitize(prose, kMaxProse, Lines::many);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      std::string line = text.substr(at, end - at);
      std::replace(line.begin(), line.end(), '\t', ' ');
      paragraph(indent, indent, line);
      at = end + 1;
    }
  }

  // `text` wrapped to the width: the first line `first` columns in, the others `rest`. Words that
  // are wider than a line are broken.
  void paragraph(std::size_t first, std::size_t rest, std::string_view text) {
    if (width_of(text) == 0) return;
    std::string line(first, ' ');
    std::size_t used = first;
    bool empty = true;
    const auto flush = [&] {
      while (line.ends_with(' ')) line.pop_back();
      out_ += line;
      out_ += '\n';
      line.assign(rest, ' ');
      used = rest;
      empty = true;
    };
    for (std::size_t at = 0; at < text.size();) {
      std::size_t spaces = 0;
      while (at < text.size() && text[at] == ' ') ++at, ++spaces;
      std::size_t end = at;
      while (end < text.size() && text[end] != ' ') end += unit_at(text, end).bytes;
      const std::string_view word = text.substr(at, end - at);
      at = end;
      const std::size_t width = width_of(word);
      if (!empty && used + spaces + width > columns_) {
        flush();
        spaces = 0;
      }
      line.append(spaces, ' ');
      used += spaces;
      // At the start of a line these would be commands to a CI runner that reads the output.
      if (empty && (word.starts_with("::") || word.starts_with("##["))) {
        line += '\\';
        ++used;
      }
      for (std::size_t i = 0; i < word.size();) {
        const Unit unit = unit_at(word, i);
        if (used + unit.columns > columns_) flush();
        line.append(word.substr(i, unit.bytes));
        used += unit.columns;
        i += unit.bytes;
        empty = false;
      }
    }
    if (!empty) {
      while (line.ends_with(' ')) line.pop_back();
      out_ += line;
      out_ += '\n';
    }
  }

  const Report& report_;
  const TextOptions& options_;
  std::size_t columns_;
  std::string out_;
};

}  // namespace

std::string to_text(const Report& report, const TextOptions& options) {
  return TextWriter(report, options).run();
}

}  // namespace culprit::report
