#include "report/formats/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "report/formats/escape.h"
#include "report/formats/html_page.h"
#include "report/formats/html_picture.h"
#include "report/formats/sha256.h"
#include "report/words.h"

namespace culprit::report {
namespace {

// Pairs of backticks in prose stand for code.
std::string prose(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t open = text.find('`');
    const std::size_t close = open == std::string_view::npos ? open : text.find('`', open + 1);
    if (close == std::string_view::npos) break;
    out += escape_xml(text.substr(0, open));
    out += "<code>" + escape_xml(text.substr(open + 1, close - open - 1)) + "</code>";
    text.remove_prefix(close + 1);
  }
  return out + escape_xml(text);
}

std::string code(std::string_view text) {
  return text.empty() ? "" : "<code>" + escape_xml(text) + "</code>";
}

std::string tag(std::string_view text, std::string_view kind) {
  return fmt::format("<span class=\"tag {}\">{}</span>", kind, escape_xml(text));
}

// The bytes as they lie in memory, the lowest address first; those that changed are marked.
std::string memory_bytes(const Hop& hop) {
  const std::uint64_t known = hop.location ? hop.location->size : 0;
  const std::uint64_t count = known == 0 ? 8 : std::min<std::uint64_t>(known, 8);
  std::string out = "<span class=\"bytes\" title=\"the bytes in memory, lowest address first\">";
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t now = *hop.value_after >> (8 * i) & 0xFF;
    const bool changed = hop.value_before && (*hop.value_before >> (8 * i) & 0xFF) != now;
    out += fmt::format("<span{}>{:02x}</span>", changed ? " class=\"new\"" : "", now);
  }
  return out + "</span>";
}

class HtmlWriter {
 public:
  explicit HtmlWriter(const Report& report) : report_(report) {}

  std::string run() {
    head();
    verdict();
    picture();
    chain();
    crash();
    about();
    out_ += "</main>\n<script>";
    out_ += kPageScript;
    out_ += "</script>\n</body>\n</html>\n";
    return std::move(out_);
  }

 private:
  template <typename... Arguments>
  void put(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Arguments>(arguments)...);
  }
  void fact(std::string_view name, const std::string& html) {
    if (!html.empty()) put("<dt>{}</dt><dd>{}</dd>\n", name, html);
  }
  [[nodiscard]] std::string place(const std::string& file, std::uint32_t line,
                                  const std::string& module,
                                  const std::optional<std::uint64_t>& offset) const {
    return place_text(report_.program.cwd, file, line, module, offset);
  }

  void head() {
    put("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
        "style-src '{}'; script-src '{}'; img-src data:; base-uri 'none'; form-action 'none'\">\n",
        csp_hash(kPageStyle), csp_hash(kPageScript));
    put("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"referrer\" content=\"no-referrer\">\n"
        "<link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>",
        escape_xml(title_of(report_.verdict)));
    out_ += kPageStyle;
    put("</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#chain\">To the chain</a>\n"
        "<main class=\"page\">\n<div class=\"top\"><span>{}</span>"
        "<button id=\"theme\" type=\"button\" hidden>light / dark</button></div>\n",
        code(command_line(report_.program)));
  }

  void verdict() {
    const Verdict& v = report_.verdict;
    put("<h1>{}</h1>\n", prose(title_of(v)));
    if (v.cause) {
      const std::string where = cause_text(*v.cause, report_.program.cwd);
      if (!where.empty()) put("<p class=\"cause\">{}</p>\n", code(where));
    }
    put("<p class=\"tags\">{}{}{}</p>\n", tag(to_string(v.confidence), to_string(v.confidence)),
        tag(info(v.bug_class).title, ""),
        tag(complete(report_) ? "chain complete" : "chain incomplete",
            complete(report_) ? "" : "unknown"));
    put("<div class=\"lead\"><div>\n");
    for (std::string_view text = v.explanation; !text.empty();) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      if (end > 0) put("<p class=\"why\">{}</p>\n", prose(text.substr(0, end)));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    put("<dl class=\"facts\">\n");
    fact("Crash", escape_xml(crash_text(report_.crash)));
    if (report_.suspect) {
      const Suspect& s = *report_.suspect;
      std::string value = "<code class=\"value\">" + to_hex(s.value) + "</code>";
      if (!s.description.empty()) value += ", " + escape_xml(shown(s.description));
      fact("Bad value", value);
      fact("Known from", escape_xml(s.how_chosen));
    }
    put("</dl>\n</div>\n<div>\n<div class=\"fix\"><b>Fix</b>{}</div>\n", prose(fix_of(v)));
    if (!complete(report_)) {
      put("<div class=\"open\"><b>The chain is incomplete</b>{}</div>\n", prose(stop_text(v)));
    }
    put("</div></div>\n");
  }

  void picture() {
    const std::string svg = chain_picture(report_);
    if (svg.empty()) return;
    put("<h2>Who did what, and what the memory held</h2>\n"
        "<div class=\"figure\" tabindex=\"0\" role=\"group\" aria-label=\"Picture of the "
        "chain\">{}</div>\n"
        "<p class=\"legend\">Arrows: the value's way. Thick line: the slot holds the value; full "
        "dot: "
        "written, ring: read, red ring: read without having been written. Box: the life of what "
        "owns the "
        "slot.</p>\n",
        svg);
  }

  void chain() {
    if (report_.hops.empty()) return;
    put("<h2 id=\"chain\">How the value got there, from the crash back to its origin</h2>\n"
        "<div class=\"chain\">\n<nav class=\"rail\" aria-label=\"Hops\"><ol>\n");
    for (const Hop& hop : report_.hops) {
      const std::string actor = escape_xml(actor_of(hop));
      put("<li{}><a href=\"#hop-{}\"><span class=\"n\">{}</span><span class=\"f\" "
          "title=\"{}\">{}<br>"
          "<span class=\"k\">{}</span></span></a></li>\n",
          hop.main_line ? "" : " class=\"side\"", hop.index, hop.index, actor, actor,
          label_of(hop.kind));
    }
    put("</ol>\n<p class=\"keys\"><kbd>j</kbd> <kbd>k</kbd> next, previous hop<br>"
        "<kbd>o</kbd> open or close its details<br><kbd>t</kbd> to the top</p></nav>\n<div>\n");
    for (const Hop& hop : report_.hops) hop_card(hop);
    put("</div></div>\n");
  }

  void hop_card(const Hop& hop) {
    const Writer& w = hop.writer;
    const std::string actor = actor_of(hop);
    put("<article class=\"hop{}\" id=\"hop-{}\" tabindex=\"-1\">\n<header><a class=\"num\" "
        "href=\"#hop-{}\">#{}</a><h3><code>{}</code></h3>",
        hop.main_line ? "" : " side", hop.index, hop.index, hop.index, escape_xml(actor));
    const std::string at = place(w.file, w.line, w.module, w.module_offset);
    if (!at.empty() && at != actor) put("<span class=\"at mono\">{}</span>", escape_xml(at));
    put("{}{}</header>\n", tag(label_of(hop.kind), ""),
        tag(to_string(hop.confidence), to_string(hop.confidence)));
    put("<p class=\"deed\">{}</p>\n", prose(deed_text(hop)));
    source(w);
    put("<dl class=\"facts\">\n");
    const std::string part = bytes_text(hop);
    if (!hop.main_line && hop.parent) {
      fact("Side branch", fmt::format("of <a href=\"#hop-{0}\">#{0}</a>{1}{2}", *hop.parent,
                                      part.empty() ? "" : ", ", part));
    } else if (hop.bytes && hop.bytes->count < 8) {
      fact("Bytes", part);
    }
    slot(hop);
    value(hop);
    came_from(hop);
    if (hop.syscall) fact("System call", code(syscall_text(*hop.syscall)));
    fact("Instruction", code(w.instruction));
    fact("When", escape_xml(moment_text(hop.position)));
    constexpr std::string_view kPrefix = "called from ";
    std::string from = callers_text(hop, report_.program.cwd);
    if (from.starts_with(kPrefix)) fact("Called from", escape_xml(from.erase(0, kPrefix.size())));
    put("</dl>\n");
    if (!hop.note.empty()) put("<p class=\"note\">{}</p>\n", prose(hop.note));
    callers(hop);
    revisit(hop);
    put("</article>\n");
  }

  void source(const Writer& w) {
    if (w.excerpt.empty()) {
      const std::string line = code_of(w);
      if (line.empty() || w.source_line.empty()) return;
      put("<pre class=\"src\"><code><span class=\"row hit\"><span class=\"ln\">{}</span>{}</span>"
          "</code></pre>\n",
          w.line != 0 ? fmt::format("{}", w.line) : "", escape_xml(line));
      return;
    }
    put("<pre class=\"src\"><code>");
    for (const SourceLine& line : w.excerpt) {
      const bool hit = line.line == w.line;
      put("<span class=\"row{}\"{}><span class=\"ln\">{}</span>{}</span>", hit ? " hit" : "",
          hit ? " aria-current=\"true\"" : "", line.line, escape_xml(line.text));
    }
    put("</code></pre>\n");
  }

  void slot(const Hop& hop) {
    if (!hop.location) return;
    const Location& l = *hop.location;
    std::string html = code(slot_name(l)) + " at " + code(to_hex(l.address));
    const std::string details = slot_details(l, report_.program.cwd);
    if (!details.empty()) html += " <span class=\"soft\">(" + escape_xml(details) + ")</span>";
    if (l.owner && l.owner->life.alive_at_write == false) {
      html += ", which did not exist when the bytes were written";
    }
    fact("Slot", html);
    if (!l.owner) return;
    life("Born", l.owner->life.born);
    life("Died", l.owner->life.died);
  }

  void life(std::string_view name, const std::optional<LifeEvent>& event) {
    if (!event) return;
    std::string html = escape_xml(event->description);
    const std::string when = moment_text(event->position);
    if (!when.empty()) html += " <span class=\"soft\">(" + escape_xml(when) + ")</span>";
    fact(name, html);
  }

  void value(const Hop& hop) {
    if (!has_value(hop)) return;
    std::string html;
    if (hop.value_before && *hop.value_before != *hop.value_after) {
      html = code(to_hex(*hop.value_before)) + " → ";
    }
    html += "<code class=\"value\">" + to_hex(*hop.value_after) + "</code> " + memory_bytes(hop);
    fact("Value", html);
  }

  void came_from(const Hop& hop) {
    constexpr std::string_view kPrefix = "the value came from ";
    std::string text = source_text(hop);
    if (text.starts_with(kPrefix)) text.erase(0, kPrefix.size());
    if (text.empty()) return;
    std::string html = escape_xml(text);
    const Source& s = *hop.source;
    if (!s.register_name.empty() && s.value) {
      html += fmt::format(" <span class=\"soft\">({} = {})</span>",
                          escape_xml(shown(s.register_name)), to_hex(*s.value));
    }
    if (!s.instruction.empty()) html += "<br>" + code(s.instruction);
    fact("Came from", html);
  }

  void callers(const Hop& hop) {
    if (hop.backtrace.empty()) return;
    put("<details><summary>backtrace, {} {}</summary><ol class=\"frames\">\n", hop.backtrace.size(),
        hop.backtrace.size() == 1 ? "frame" : "frames");
    for (const Frame& frame : hop.backtrace) frame_line(frame);
    put("</ol></details>\n");
  }

  void frame_line(const Frame& frame) {
    std::string name = function_name(frame.demangled, frame.function);
    if (name.empty()) name = frame.pc ? to_hex(*frame.pc) : "??";
    put("<li>{} <span class=\"soft\">{}</span>", code(name),
        escape_xml(place(frame.file, frame.line, frame.module, frame.module_offset)));
    if (frame.inlined) out_ += " " + tag("inlined", "");
    if (frame.stack == StackKind::goroutine && frame.goroutine) {
      out_ += " " + tag(fmt::format("goroutine {}", *frame.goroutine), "");
    } else if (frame.stack != StackKind::unknown && frame.stack != StackKind::native) {
      out_ += " " + tag(fmt::format("{} stack", to_string(frame.stack)), "");
    }
    out_ += "</li>\n";
  }

  void revisit(const Hop& hop) {
    if (!hop.revisit || (hop.revisit->command.empty() && hop.revisit->gdb_commands.empty())) return;
    std::string commands = hop.revisit->command;
    put("<details><summary>go to this moment</summary><pre class=\"shell\"><button type=\"button\" "
        "data-copy hidden>copy</button>\n<code>{}</code>",
        escape_xml(commands));
    for (const std::string& command : hop.revisit->gdb_commands) {
      put("\n<span class=\"soft\">(gdb)</span> {}", escape_xml(command));
    }
    put("</pre></details>\n");
  }

  void crash() {
    const Crash& c = report_.crash;
    if (c.message.empty() && c.frames.empty()) return;
    put("<h2>The crash</h2>\n");
    if (!c.message.empty()) put("<pre class=\"message\">{}</pre>\n", escape_xml(c.message));
    if (c.frames.empty()) return;
    put("<details><summary>{} {}</summary><ol class=\"frames\">\n", c.frames.size(),
        c.frames.size() == 1 ? "frame" : "frames");
    for (const Frame& frame : c.frames) frame_line(frame);
    put("</ol></details>\n");
  }

  void about() {
    put("<div class=\"about\">\n");
    for (const std::string& warning : report_.warnings) {
      put("<p class=\"warning\">Warning: {}</p>\n", escape_xml(warning));
    }
    for (const std::string& limitation : report_.engine.limitations) {
      put("<p>Note: {}</p>\n", escape_xml(limitation));
    }
    if (const std::string run = command_line(report_.program); !run.empty()) {
      put("<p>To reproduce: <code>culprit run -- {}</code></p>\n", escape_xml(run));
    }
    std::string line = "culprit " + escape_xml(report_.tool.version);
    if (!report_.engine.name.empty()) line += ", engine " + escape_xml(report_.engine.name);
    if (report_.stats.passes > 0) {
      line += fmt::format(", {} replay {}", report_.stats.passes,
                          report_.stats.passes == 1 ? "pass" : "passes");
      if (const double ms = total_ms(report_.stats); ms > 0)
        line += fmt::format(", {:.1f} s", ms / 1000);
    }
    if (!report_.trace.directory.empty()) {
      line += ", trace <code>" + escape_xml(report_.trace.directory) + "</code>";
    }
    put("<p>{}</p>\n<p>Cause {}, looser key {}</p>\n</div>\n", line,
        code(report_.fingerprint.strict), code(report_.fingerprint.loose));
  }

  const Report& report_;
  std::string out_;
};

}  // namespace

std::string to_html(const Report& report) { return HtmlWriter(report).run(); }

}  // namespace culprit::report
