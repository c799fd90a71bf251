#include "crash/text_lines.h"

namespace culprit::crash {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Log collectors pad numbers with spaces, so a digit may stand where a space stood.
bool same_shape(char a, char b) {
  const bool counts_a = is_digit(a) || a == ' ';
  const bool counts_b = is_digit(b) || b == ' ';
  return a == b || (counts_a && counts_b);
}

}  // namespace

const TextLines::Line* TextLines::peek(std::size_t ahead) {
  if (ahead > kMaxAhead) return nullptr;
  while (window_.size() <= ahead && next_ < text_.size()) {
    const std::size_t end = text_.find_first_of("\r\n", next_);
    Line line;
    line.offset = next_;
    line.complete = end != std::string_view::npos;
    line.text = text_.substr(next_, (line.complete ? end : text_.size()) - next_);
    next_ = line.complete ? end + 1 : text_.size();
    if (line.complete && text_.substr(end, 2) == "\r\n") ++next_;
    window_.push_back(line);
  }
  return ahead < window_.size() ? &window_[ahead] : nullptr;
}

void TextLines::advance() {
  if (peek() != nullptr) window_.pop_front();
}

std::string_view LinePrefix::strip(std::string_view line) const {
  if (sample_.empty()) return line;
  for (std::size_t i = 0; i < sample_.size(); ++i) {
    if (i == line.size()) {
      // An empty line of the report: collectors trim the blank after their prefix.
      return std::string_view(sample_).substr(i).find_first_not_of(" \t") == std::string_view::npos
                 ? line.substr(line.size())
                 : line;
    }
    if (!same_shape(sample_[i], line[i])) return line;
  }
  return line.substr(sample_.size());
}

bool take(std::string_view& text, std::string_view literal) {
  if (!text.starts_with(literal)) return false;
  text.remove_prefix(literal.size());
  return true;
}

std::optional<std::uint64_t> take_hex(std::string_view& text) {
  if (!text.starts_with("0x")) return std::nullopt;
  std::uint64_t value = 0;
  std::size_t i = 2;
  for (; i < text.size() && hex_digit(text[i]) >= 0; ++i) {
    if (i == 18) return std::nullopt;  // more than 64 bits
    value = value << 4 | static_cast<std::uint64_t>(hex_digit(text[i]));
  }
  if (i == 2) return std::nullopt;
  text.remove_prefix(i);
  return value;
}

std::optional<std::uint64_t> take_decimal(std::string_view& text) {
  std::uint64_t value = 0;
  std::size_t i = 0;
  for (; i < text.size() && is_digit(text[i]); ++i) {
    const auto digit = static_cast<std::uint64_t>(text[i] - '0');
    if (value > (~std::uint64_t{0} - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  if (i == 0) return std::nullopt;
  text.remove_prefix(i);
  return value;
}

std::optional<std::uint64_t> hex_after(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + key.size());
  return take_hex(text);
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string clip(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return std::string(text);
  std::size_t end = limit;
  while (end > 0 && limit - end < 4 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  return std::string(text.substr(0, end));
}

}  // namespace culprit::crash
