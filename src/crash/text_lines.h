// Reading a program's output line by line, and small fields inside a line. Everything is bounded
// and linear in the text.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace culprit::crash {

/// The lines of a text, with a few lines of look-ahead. Lines end at "\n", "\r\n", or "\r"
/// (progress displays leave one in front of a crash message). The text must outlive the reader.
class TextLines {
 public:
  struct Line {
    std::string_view text;
    std::uint64_t offset = 0;  ///< of its first byte in the whole text
    bool complete = true;      ///< false for a last line without an end
  };

  explicit TextLines(std::string_view text) : text_(text) {}

  /// The line `ahead` places after the current one (0–kMaxAhead); null past the end of the text.
  [[nodiscard]] const Line* peek(std::size_t ahead = 0);
  /// Goes on by one line.
  void advance();

  static constexpr std::size_t kMaxAhead = 16;

 private:
  std::string_view text_;
  std::size_t next_ = 0;  ///< offset of the first byte that is not in window_
  std::deque<Line> window_;
};

/// What a log collector, a mailer or a quotation put before each line: found on the first line of a
/// report, and taken off the lines that follow if they have the same shape (digits may differ).
class LinePrefix {
 public:
  LinePrefix() = default;
  explicit LinePrefix(std::string_view sample) : sample_(sample) {}
  /// The line without the prefix, or the line itself if its beginning has another shape.
  [[nodiscard]] std::string_view strip(std::string_view line) const;
  [[nodiscard]] bool empty() const { return sample_.empty(); }

 private:
  std::string sample_;
};

/// If `text` begins with `literal`, takes it off and returns true.
bool take(std::string_view& text, std::string_view literal);
/// Takes "0x" and 1–16 hexadecimal digits off the front. Nothing (and nothing taken) otherwise.
std::optional<std::uint64_t> take_hex(std::string_view& text);
/// Takes a decimal number of up to 64 bits off the front. Nothing if there is none or it overflows.
std::optional<std::uint64_t> take_decimal(std::string_view& text);
/// The hexadecimal number right after the first `key` in `text` ("span.base()=").
std::optional<std::uint64_t> hex_after(std::string_view text, std::string_view key);
/// `text` without spaces and tabs at both ends.
std::string_view trim(std::string_view text);
/// `text` cut to `limit` bytes, not in the middle of a UTF-8 sequence.
std::string clip(std::string_view text, std::size_t limit);

}  // namespace culprit::crash
