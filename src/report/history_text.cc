#include <fmt/format.h>

#include <string>

#include "report/history.h"
#include "report/words.h"

namespace culprit::report {
namespace {

class HistoryWriter {
 public:
  HistoryWriter(const History& history, bool backtraces)
      : history_(history), cwd_(history.program.cwd), backtraces_(backtraces) {}

  std::string run() {
    heading();
    regions();
    writes();
    writers();
    for (const std::string& warning : history_.warnings) line("Warning: " + shown(warning));
    return std::move(out_);
  }

 private:
  void line(std::string_view text) {
    out_ += text;
    out_ += '\n';
  }

  void heading() {
    const Location& l = history_.location;
    std::string name = history_.expression.empty() ? "" : shown(history_.expression) + " at ";
    line(fmt::format("{}{}, {} {}, process {}", name, to_hex(l.address), l.size,
                     l.size == 1 ? "byte" : "bytes", history_.program.pid.value));
    const std::string details = slot_details(l, cwd_);
    line(fmt::format("  at event {}, thread {}: {}{}{}", history_.evaluated_at.event.value,
                     history_.evaluated_at.thread.value, slot_name(l), details.empty() ? "" : ", ",
                     details));
    line("");
  }

  void regions() {
    line("What it belonged to");
    if (history_.regions_left_out > 0) {
      line(fmt::format("  ({} older ones are left out: --limit)", history_.regions_left_out));
    }
    if (history_.regions.empty()) line("  nothing was ever mapped there");
    for (const RegionPeriod& region : history_.regions) {
      std::string range;
      if (region.range) {
        range = fmt::format("  {}–{}", to_hex(region.range->start), to_hex(region.range->end()));
      }
      line("  " + shown(region.description) + range);
      life("from", region.from);
      if (region.to) {
        life("to  ", region.to);
      } else {
        line("      to    the end");
      }
    }
    line("");
  }

  void life(std::string_view word, const std::optional<LifeEvent>& event) {
    if (!event) return line(fmt::format("      {}  before the recording shows it", word));
    std::string moment = moment_text(event->position);
    line(fmt::format("      {}  {}{}{}", word, shown(event->description),
                     moment.empty() ? "" : ", ", moment));
    callers(12, event->backtrace, 0);
  }

  void callers(std::size_t indent, const std::vector<Frame>& frames, std::size_t first) {
    constexpr std::size_t kNear = 4;
    const std::string margin(indent, ' ');
    if (backtraces_) {
      for (std::size_t i = first; i < frames.size(); ++i) line(margin + frame_text(frames[i]));
      return;
    }
    std::string text;
    for (std::size_t i = first, shown_frames = 0; i < frames.size() && shown_frames < kNear; ++i) {
      text += (text.empty() ? "" : " ← ") + frame_text(frames[i]);
      ++shown_frames;
    }
    if (!text.empty()) line(margin + "by " + text);
  }

  std::string frame_text(const Frame& frame) const {
    std::string name = function_name(frame.demangled, frame.function);
    if (name.empty() && frame.pc) name = to_hex(*frame.pc);
    const std::string place =
        place_text(cwd_, frame.file, frame.line, frame.module, frame.module_offset);
    return place.empty() ? name : fmt::format("{} ({})", name, place);
  }

  std::string who(const Writer& writer) const {
    std::string text = function_name(writer.demangled, writer.function);
    if (text.empty()) text = writer.pc ? to_hex(*writer.pc) : "??";
    const std::string place =
        place_text(cwd_, writer.file, writer.line, writer.module, writer.module_offset);
    if (!place.empty()) text += "  " + place;
    return text;
  }

  void writes() {
    line(fmt::format("Writes: {} of {} that were seen match, {} shown", history_.writes_matching,
                     history_.writes_seen, history_.writes.size()));
    if (history_.writes_left_out > 0) {
      line(fmt::format("  ({} older ones are left out: --limit; they are counted below)",
                       history_.writes_left_out));
    }
    for (const Hop& write : history_.writes) {
      std::string values = write.value_before ? to_hex(*write.value_before) : "?";
      values += " → " + (write.value_after ? to_hex(*write.value_after) : "?");
      std::string part;
      if (write.location && write.location->address != history_.location.address) {
        part = " at " + to_hex(write.location->address);
      }
      line(fmt::format("  #{}  {}{}  {}", write.index, values, part, moment_text(write.position)));
      line("      " + who(write.writer));
      if (!write.summary.empty()) line("      " + shown(write.summary));
      if (write.syscall) line("      " + syscall_text(*write.syscall));
      if (const std::string code = code_of(write.writer); !code.empty()) line("      > " + code);
      callers(6, write.backtrace, write.backtrace.empty() ? 0 : 1);
    }
    line("");
  }

  void writers() {
    if (history_.writers.empty()) return;
    line("Who wrote how often");
    for (const WriteGroup& group : history_.writers) {
      const std::string call = group.syscall.empty() ? "" : " (" + shown(group.syscall) + ")";
      line(fmt::format("  {:>8} ×  {}{}  {}, events {} to {}", group.count, label_of(group.kind),
                       call, who(group.writer), group.first.value, group.last.value));
    }
    if (history_.writers_left_out > 0) {
      line(fmt::format("  {:>8} ×  others", history_.writers_left_out));
    }
    line("");
  }

  const History& history_;
  const std::string& cwd_;
  bool backtraces_;
  std::string out_;
};

}  // namespace

std::string to_text(const History& history, bool backtraces) {
  return HistoryWriter(history, backtraces).run();
}

}  // namespace culprit::report
