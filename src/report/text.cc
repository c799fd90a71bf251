#include "report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "report/limits.h"
#include "report/sanitize.h"
#include "report/words.h"

namespace culprit::report {
namespace {

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
    const std::string title = title_of(v);
    paragraph(0, 0, paint(title, Style::title) + "  " + tag(v.confidence));
    if (v.cause) {
      const std::string where = cause_text(*v.cause, report_.program.cwd);
      if (!where.empty()) paragraph(2, 2, paint(where, Style::strong));
    }
    blank();
    if (!v.explanation.empty()) {
      text_block(2, v.explanation);
      blank();
    }
    paragraph(2, 7, paint("Fix:", Style::heading) + " " + fix_of(v));
    if (!complete(report_)) {
      paragraph(2, 4, paint("The chain is incomplete:", Style::open) + " " + stop_text(v));
    }
    blank();
  }

  void crash() {
    const Crash& c = report_.crash;
    const std::string line = crash_text(c);
    if (!line.empty()) paragraph(0, 8, paint("Crash", Style::heading) + "   " + line);
    if (report_.suspect) {
      const Suspect& s = *report_.suspect;
      std::string value = paint(to_hex(s.value), Style::strong);
      if (!s.description.empty()) value += ", " + shown(s.description);
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
    const std::size_t count = std::min(report_.hops.size(), kMaxHops);
    for (std::size_t i = 0; i < count; ++i) {
      hop(report_.hops[i]);
      blank();
    }
  }

  void hop(const Hop& h) {
    const std::size_t margin = h.main_line ? 0 : 4;
    const std::size_t body = margin + 5;
    const Writer& w = h.writer;
    std::string head = function_name(w.demangled, w.function);
    const std::string at =
        place_text(report_.program.cwd, w.file, w.line, w.module, w.module_offset);
    if (head.empty() && h.syscall) head = "the kernel";
    if (head.empty()) head = fmt::format("{}", h.kind == HopKind::crash_report ? "crash" : "??");
    std::string line = paint(fmt::format("{:>3}  ", fmt::format("#{}", h.index)), Style::strong) +
                       paint(head, Style::strong);
    if (!at.empty()) line += "  " + at;
    line += "  " + tag(h.confidence);
    paragraph(margin, body, line);
    const std::string part = bytes_text(h);
    if (!h.main_line && h.parent) {
      paragraph(
          body, body + 2,
          paint(fmt::format("side branch of #{}{}{}", *h.parent, part.empty() ? "" : ", ", part),
                Style::faint));
    } else if (h.bytes && h.bytes->count < 8) {
      paragraph(body, body + 2, paint(part, Style::faint));
    }
    if (const std::string code = code_of(w); !code.empty()) {
      paragraph(body, body + 4, paint("> " + code, Style::faint));
    }
    deed(body, h);
    if (const std::string from = source_text(h); !from.empty()) paragraph(body, body + 2, from);
    if (const std::string who = moment_text(h.position); !who.empty()) {
      paragraph(body, body + 2, paint(who, Style::faint));
    }
    if (options_.backtraces) {
      for (const Frame& frame : h.backtrace) backtrace_line(body + 2, frame);
    } else if (const std::string callers = callers_text(h, report_.program.cwd); !callers.empty()) {
      paragraph(body, body + 2, paint(callers, Style::faint));
    }
    if (!h.note.empty()) text_block(body, h.note);
  }

  // The deed: the summary if the hop has one, with the values and the slot on a line of their own;
  // else a sentence of all of them.
  void deed(std::size_t indent, const Hop& h) {
    const std::size_t hanging = indent + 2;
    const bool valued = has_value(h);
    const std::string value = valued ? paint(to_hex(*h.value_after), Style::strong) : "";
    const bool changed = h.value_before && valued && *h.value_before != *h.value_after;
    const std::string slot = h.location ? location(*h.location) : "";
    const std::string by = h.syscall ? "by " + syscall_text(*h.syscall) : "";
    if (!h.summary.empty()) {
      paragraph(indent, hanging, sanitize(h.summary, kMaxName));
      std::string line = changed ? to_hex(*h.value_before) + " → " : "";
      line += value;
      if (!slot.empty()) line += (line.empty() ? "" : " in ") + slot;
      if (!by.empty()) line += (line.empty() ? "" : ", ") + by;
      if (!slot.empty() || !by.empty() || changed) paragraph(indent, hanging, line);
      return;
    }
    std::string line(verb_of(h.kind));
    if (valued) line += (h.kind == HopKind::crash_report ? ": " : " ") + value;
    if (!slot.empty()) {
      const bool read = h.kind == HopKind::load || h.kind == HopKind::crash_report;
      line += (read ? " from " : h.kind == HopKind::stale_bytes ? " in " : " into ") + slot;
    }
    if (changed) line += fmt::format(", where {} was before", to_hex(*h.value_before));
    if (!by.empty()) line += ", " + by;
    paragraph(indent, hanging, line);
  }

  std::string location(const Location& l) const {
    const std::string name = slot_name(l);
    std::string text = l.owner ? paint(name, Style::strong) : name;
    const std::string details = slot_details(l, report_.program.cwd);
    if (!details.empty()) text += " (" + details + ")";
    text += " at " + to_hex(l.address);
    if (l.owner && !l.owner->variable.empty() && l.owner->life.alive_at_write == false) {
      text += ", which did not exist then";
    }
    return text;
  }

  void backtrace_line(std::size_t indent, const Frame& frame) {
    std::string name = function_name(frame.demangled, frame.function);
    if (name.empty() && frame.pc) name = to_hex(*frame.pc);
    std::string line =
        name + "  " +
        place_text(report_.program.cwd, frame.file, frame.line, frame.module, frame.module_offset);
    if (frame.inlined) line += "  (inlined)";
    if (frame.stack == StackKind::goroutine && frame.goroutine) {
      line += fmt::format("  [goroutine {}]", *frame.goroutine);
    } else if (frame.stack != StackKind::unknown && frame.stack != StackKind::native) {
      line += fmt::format("  [{} stack]", to_string(frame.stack));
    }
    paragraph(indent, indent + 4, paint(line, Style::faint));
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
      paragraph(0, 9, paint("Warning:", Style::fair) + " " + shown(warning));
    }
    for (const std::string& limitation : report_.engine.limitations) {
      paragraph(0, 6, "Note: " + shown(limitation));
    }
    std::string line;
    if (!report_.engine.name.empty()) line = "Engine " + shown(report_.engine.name);
    if (!report_.engine.choice.empty()) line += " (" + shown(report_.engine.choice) + ")";
    const Stats& s = report_.stats;
    if (s.passes > 0) {
      const double total = total_ms(s);
      line += fmt::format("{}{} replay {}", line.empty() ? "" : ", ", s.passes,
                          s.passes == 1 ? "pass" : "passes");
      if (total > 0) line += fmt::format(", {:.1f} s", total / 1000);
    }
    if (!report_.trace.directory.empty()) {
      line += fmt::format("{}trace {}", line.empty() ? "" : ", ", shown(report_.trace.directory));
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
