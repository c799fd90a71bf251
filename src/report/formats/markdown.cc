#include "report/formats/markdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "report/formats/escape.h"
#include "report/sanitize.h"
#include "report/words.h"

namespace culprit::report {
namespace {

// How much is said. Each level is smaller than the one before; the last one's size is bounded by
// these numbers alone.
struct Level {
  std::size_t hops;
  std::size_t nodes;   // of the diagram
  std::size_t frames;  // of each backtrace
  std::size_t excerpt_lines;
  std::size_t gdb_commands;  // of each hop
  std::size_t line;          // bytes of a name, a line, a command
  std::size_t prose;         // bytes of a note or an explanation
};
constexpr std::array<Level, 5> kLevels{{
    {1000, 40, 24, 9, 8, 300, 16'384},
    {200, 30, 8, 9, 6, 200, 4000},
    {60, 24, 3, 5, 4, 160, 2000},
    {24, 16, 2, 3, 4, 120, 1000},
    {12, 8, 0, 0, 2, 80, 300},
}};

class MarkdownWriter {
 public:
  MarkdownWriter(const Report& report, const Level& level) : report_(report), level_(level) {}

  std::string run() {
    verdict();
    diagram();
    chain();
    reproduce();
    about();
    return std::move(out_);
  }

 private:
  void verdict() {
    const Verdict& v = report_.verdict;
    out_ += fmt::format("## {}\n\n", prose_line(title_of(v)));
    std::vector<std::string> rows;
    const auto row = [&rows](std::string_view name, const std::string& value) {
      if (!value.empty()) rows.push_back(fmt::format("| **{}** | {} |\n", name, value));
    };
    if (v.cause) row("Cause", cell(cause_text(*v.cause, report_.program.cwd)));
    row("Class", fmt::format("`{}`, {}", to_string(v.bug_class), to_string(v.confidence)));
    row("Crash", cell(crash_text(report_.crash)));
    if (report_.suspect) row("Bad value", cell(suspect_text(*report_.suspect)));
    row("Command", cell(command_line(report_.program)));
    if (!rows.empty()) out_ += "| | |\n|---|---|\n";
    for (const std::string& line : rows) out_ += line;
    out_ += '\n';
    if (!v.explanation.empty()) out_ += prose(v.explanation) + "\n\n";
    out_ += "**Fix:** " + prose(fix_of(v)) + "\n\n";
    if (!complete(report_)) {
      out_ += "**The chain is incomplete:** " + prose(stop_text(v)) + "\n\n";
    }
  }

  // The hops of the diagram: all if they fit, else the first and the last ones of the main line.
  std::vector<const Hop*> diagram_hops() const {
    std::vector<const Hop*> all;
    for (const Hop& hop : report_.hops) all.push_back(&hop);
    if (all.size() <= level_.nodes) return all;
    std::erase_if(all, [](const Hop* hop) { return !hop->main_line; });
    if (all.size() <= level_.nodes) return all;
    const auto half = static_cast<std::ptrdiff_t>(level_.nodes / 2);
    std::vector<const Hop*> some(all.begin(), all.begin() + half);
    some.insert(some.end(), all.end() - half, all.end());
    return some;
  }

  void diagram() {
    const std::vector<const Hop*> hops = diagram_hops();
    if (hops.size() < 2) return;
    out_ += "```mermaid\nflowchart TD\n";
    // Declared from the origin to the crash: the value flows down.
    for (auto it = hops.rbegin(); it != hops.rend(); ++it) {
      const Hop& hop = **it;
      std::string label = fmt::format("hop {}: {}", hop.index, diagram_name(actor_of(hop)));
      std::string at = place_text(report_.program.cwd, hop.writer.file, hop.writer.line,
                                  hop.writer.module, hop.writer.module_offset);
      if (at.size() > 40) at = base_name(at);
      std::string text = mermaid_label(label);
      if (!at.empty()) text += "<br/>" + mermaid_label(diagram_name(at));
      text += "<br/>" + mermaid_label(hop.kind == HopKind::crash_report ? "the crash was noticed"
                                                                        : label_of(hop.kind));
      out_ += fmt::format("  h{}[\"{}\"]\n", hop.index, text);
    }
    for (auto it = hops.rbegin(); it != hops.rend(); ++it) {
      const Hop& hop = **it;
      if (!hop.parent) continue;
      const bool next_shown = std::any_of(
          hops.begin(), hops.end(), [&](const Hop* other) { return other->index == *hop.parent; });
      if (next_shown) {
        std::string slot;
        if (hop.location) {
          slot = fmt::format("|\"{}\"|", mermaid_label(diagram_name(slot_name(*hop.location))));
        }
        out_ += fmt::format("  h{} {}{} h{}\n", hop.index, hop.main_line ? "-->" : "-.->", slot,
                            *hop.parent);
      } else if (it + 1 != hops.rend()) {
        const std::uint32_t later = (*(it + 1))->index;
        out_ += fmt::format("  h{} -. \"{} more hops\" .-> h{}\n", hop.index, hop.index - later - 1,
                            later);
      }
    }
    out_ += "```\n\n";
  }

  void chain() {
    if (report_.hops.empty()) return;
    out_ += "### How the value got there, from the crash back to its origin\n\n";
    std::size_t left = level_.hops;
    for (const Hop& hop : report_.hops) {
      if (left-- == 0) {
        out_ += fmt::format("*{} more hops are in the JSON report.*\n\n",
                            report_.hops.size() - level_.hops);
        break;
      }
      hop_entry(hop);
    }
  }

  void hop_entry(const Hop& hop) {
    const std::string at = place_text(report_.program.cwd, hop.writer.file, hop.writer.line,
                                      hop.writer.module, hop.writer.module_offset);
    out_ += fmt::format("**#{}** {}", hop.index, code(actor_of(hop)));
    if (!at.empty() && at != actor_of(hop)) out_ += " at " + code(at);
    if (hop.confidence != Confidence::proved) {
      out_ += fmt::format(" *({})*", to_string(hop.confidence));
    }
    const std::string part = bytes_text(hop);
    if (!hop.main_line && hop.parent) {
      out_ += fmt::format(", side branch of #{}", *hop.parent);
      if (!part.empty()) out_ += ", " + part;
    } else if (hop.bytes && hop.bytes->count < 8) {
      out_ += ", " + part;
    }
    out_ += "\\\n" + prose_line(deed_text(hop)) + "\n\n";
    excerpt(hop.writer);
    details(hop);
  }

  // The lines around, the line itself marked; with the number of the line in front.
  void excerpt(const Writer& writer) {
    const std::vector<SourceLine>& lines = writer.excerpt;
    if (lines.empty() || level_.excerpt_lines == 0) {
      const std::string line = cut(code_of(writer));
      if (!line.empty()) out_ += markdown_block("> " + line, "text") + "\n";
      return;
    }
    std::size_t middle = 0;
    while (middle + 1 < lines.size() && lines[middle].line < writer.line) ++middle;
    const std::size_t half = level_.excerpt_lines / 2;
    const std::size_t first = middle > half ? middle - half : 0;
    const std::size_t last = std::min(lines.size(), first + level_.excerpt_lines);
    std::string text;
    for (std::size_t i = first; i < last; ++i) {
      text += fmt::format("{} {:>5}  {}\n", lines[i].line == writer.line ? '>' : ' ', lines[i].line,
                          sanitize(lines[i].text, level_.line, Lines::code));
    }
    out_ += markdown_block(text, language_of(writer.file)) + "\n";
  }

  // Only words of ours: a name of the program in an info string could be anything.
  static std::string_view language_of(std::string_view file) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kLanguages{
        {{".c", "c"},
         {".h", "c"},
         {".cc", "cpp"},
         {".cpp", "cpp"},
         {".cxx", "cpp"},
         {".hpp", "cpp"},
         {".go", "go"},
         {".rs", "rust"},
         {".s", "asm"},
         {".S", "asm"},
         {".ml", "ocaml"},
         {".py", "python"}}};
    for (const auto& [ending, language] : kLanguages) {
      if (file.ends_with(ending)) return language;
    }
    return "text";
  }

  void details(const Hop& hop) {
    std::string body;
    const auto line = [&](std::string_view name, const std::string& text) {
      if (!text.empty()) body += fmt::format("- {}: {}\n", name, code(text));
    };
    if (hop.location) {
      std::string slot = slot_name(*hop.location) + " at " + to_hex(hop.location->address);
      const std::string more = slot_details(*hop.location, report_.program.cwd);
      if (!more.empty()) slot += " (" + more + ")";
      line("slot", slot);
    }
    if (has_value(hop)) {
      const bool changed = hop.value_before && *hop.value_before != *hop.value_after;
      line("value", changed ? to_hex(*hop.value_before) + " → " + to_hex(*hop.value_after)
                            : to_hex(*hop.value_after));
    }
    line("source", source_text(hop));
    if (hop.syscall) line("system call", syscall_text(*hop.syscall));
    line("instruction", hop.writer.instruction);
    line("when", moment_text(hop.position));
    if (!hop.note.empty()) {
      std::string note = hop.note;
      std::replace(note.begin(), note.end(), '\n', ' ');
      body += "- why: " + prose_line(note) + "\n";
    }
    std::string frames;
    std::size_t number = 0;
    std::size_t left = level_.frames;
    for (const Frame& frame : hop.backtrace) {
      if (left-- == 0) {
        if (level_.frames > 0) {
          frames += fmt::format("  …  {} more\n", hop.backtrace.size() - level_.frames);
        }
        break;
      }
      std::string name = function_name(frame.demangled, frame.function);
      if (name.empty() && frame.pc) name = to_hex(*frame.pc);
      frames += fmt::format("{:>3}  {}  {}\n", number++, cut(name),
                            cut(place_text(report_.program.cwd, frame.file, frame.line,
                                           frame.module, frame.module_offset)));
    }
    if (body.empty() && frames.empty()) return;
    out_ += "<details><summary>details</summary>\n\n" + body;
    if (!frames.empty()) out_ += "\n" + markdown_block(frames, "text");
    out_ += "\n</details>\n\n";
  }

  void reproduce() {
    const std::string run = command_line(report_.program);
    std::string gdb;
    std::size_t left = level_.hops;
    for (const Hop& hop : report_.hops) {
      if (!hop.revisit || hop.revisit->command.empty()) continue;
      if (left-- == 0) break;
      gdb += fmt::format("# hop {}\n$ {}\n", hop.index, cut_command(hop.revisit->command));
      std::size_t commands = level_.gdb_commands;
      for (const std::string& command : hop.revisit->gdb_commands) {
        if (commands-- == 0) break;
        gdb += "  (gdb) " + cut_command(command) + "\n";
      }
    }
    if (run.empty() && gdb.empty()) return;
    out_ += "### How to reproduce\n\n";
    if (!run.empty()) out_ += markdown_block("culprit run -- " + cut_command(run), "sh") + "\n";
    if (!gdb.empty()) {
      out_ += "<details><summary>Go to each moment of the recording</summary>\n\n" +
              markdown_block(gdb, "text") + "\n</details>\n\n";
    }
  }

  void about() {
    std::size_t left = 10;
    for (const std::string& warning : report_.warnings) {
      if (left-- == 0) break;
      out_ += "- Warning: " + prose_line(warning) + "\n";
    }
    left = 10;
    for (const std::string& limitation : report_.engine.limitations) {
      if (left-- == 0) break;
      out_ += "- Note: " + prose_line(limitation) + "\n";
    }
    if (!out_.ends_with("\n\n")) out_ += '\n';
    std::string line = "culprit";
    if (!report_.tool.version.empty()) line += " " + code(report_.tool.version);
    if (!report_.engine.name.empty()) line += ", engine " + code(report_.engine.name);
    if (report_.stats.passes > 0) {
      line += fmt::format(", {} replay {}", report_.stats.passes,
                          report_.stats.passes == 1 ? "pass" : "passes");
    }
    out_ += fmt::format("{}, cause {}\n", line, code(report_.fingerprint.strict));
  }

  [[nodiscard]] std::string cut(std::string_view text) const { return sanitize(text, level_.line); }
  // Commands are there to be copied: cut only where the space is really short.
  [[nodiscard]] std::string cut_command(std::string_view text) const {
    return sanitize(text, level_.line * 2);
  }
  [[nodiscard]] std::string code(std::string_view text) const { return markdown_code(cut(text)); }
  // In a table '|' ends a cell even inside a code span.
  [[nodiscard]] std::string cell(std::string_view text) const {
    std::string out;
    for (const char c : code(text)) {
      if (c == '|') out += '\\';
      out += c;
    }
    return out;
  }
  [[nodiscard]] std::string prose(std::string_view text) const {
    return bounded_prose(text, level_.prose, Lines::many);
  }
  [[nodiscard]] std::string prose_line(std::string_view text) const {
    return bounded_prose(text, std::min<std::size_t>(level_.prose, 1000), Lines::one);
  }
  // Escapes make text of many signs up to nine times as long; what counts is what is written.
  static std::string bounded_prose(std::string_view text, std::size_t limit, Lines lines) {
    std::string out;
    for (std::size_t length = limit; length >= 16; length /= 2) {
      out = markdown_prose(sanitize(text, length, lines));
      if (out.size() <= limit + limit / 2) break;
    }
    return out;
  }
  // A node should stay narrow.
  static std::string diagram_name(std::string_view text) { return sanitize(text, 60); }

  const Report& report_;
  const Level& level_;
  std::string out_;
};

}  // namespace

std::string to_markdown(const Report& report) {
  std::string out;
  for (const Level& level : kLevels) {
    out = MarkdownWriter(report, level).run();
    if (out.size() <= kMaxMarkdown) break;
  }
  return out;
}

}  // namespace culprit::report
