// The lines of a program's output as a person reads them: without colours, without what a log
// collector or a quotation put in front, and with the lines joined that a mailer has folded.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "crash/text_lines.h"

namespace culprit::crash {

/// `line` without ECMA-48 escape sequences, cut to PlainLines::kMaxLine bytes. The result is a part
/// of `line`, or of `buffer` if there was something to take out.
[[nodiscard]] std::string_view plain(std::string_view line, std::string& buffer);

/// Reads a text line by line. The text must outlive the reader.
class PlainLines {
 public:
  static constexpr std::size_t kMaxLine = 8192;   ///< bytes; the rest of a longer line is not seen
  static constexpr std::size_t kMaxPrefix = 200;  ///< bytes in front of a report's first line
  static constexpr int kMaxFolds = 4;             ///< lines that a line may have been folded into

  explicit PlainLines(std::string_view text) : lines_(text) {}

  struct Line {
    std::string_view text;     ///< valid until the next call
    std::uint64_t offset = 0;  ///< of the raw line in the whole text
    bool complete = true;      ///< the line has an end
  };

  /// The current line; null past the end of the text.
  const Line* current();
  void advance();
  /// The line after the current one, in the same form; valid until the next call.
  const Line* following();

  /// Says that a report begins `taken` bytes into the current line: what stands before is taken off
  /// this line and the lines that follow in the same shape.
  void begins_at(std::size_t taken);

  /// The current line, with those that follow it joined to it as long as `needs_more(joined)` says
  /// that something is missing and `begins(next)` does not say that the next line is one of its
  /// own. The reader is left on the line after them.
  template <typename NeedsMore, typename Begins>
  std::string unfold(NeedsMore needs_more, Begins begins) {
    const Line* line = current();
    if (line == nullptr) return {};
    std::string joined(line->text);
    advance();
    for (int i = 0; i < kMaxFolds && needs_more(std::string_view(joined)); ++i) {
      const Line* next = current();
      if (next == nullptr) break;
      const std::string_view piece = trim(next->text);
      if (piece.empty() || joined.size() + piece.size() >= kMaxLine || begins(next->text)) break;
      if (!joined.ends_with(' ')) joined.push_back(' ');
      joined.append(piece);
      advance();
    }
    return joined;
  }

 private:
  TextLines lines_;
  LinePrefix prefix_;
  Line line_;
  Line following_;
  bool loaded_ = false;
  std::string buffer_;
  std::string following_buffer_;
};

/// The last few lines of a text, for messages of which only the end can be recognised: a mailer may
/// have folded them before that.
class RecentLines {
 public:
  static constexpr std::size_t kLines = 6;

  /// Adds a line that led to nothing.
  void push(const PlainLines::Line& line);
  /// The last `count` lines joined, with their first byte's offset; nothing if there are fewer.
  struct Joined {
    std::string text;
    std::uint64_t offset = 0;
  };
  [[nodiscard]] std::optional<Joined> last(std::size_t count) const;
  void clear() { lines_.clear(); }

 private:
  std::deque<Joined> lines_;
};

}  // namespace culprit::crash
