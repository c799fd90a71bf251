#include "crash/plain_lines.h"

namespace culprit::crash {
namespace {

constexpr char kEscape = '\x1b';
constexpr char kBell = '\a';

// The size of the escape sequence at the front of `text`, which begins with ESC (ECMA-48, 5.3–5.6).
std::size_t escape_size(std::string_view text) {
  if (text.size() < 2) return text.size();
  if (text[1] == '[') {
    std::size_t i = 2;
    while (i < text.size() && text[i] >= 0x20 && text[i] < 0x40) ++i;
    return i < text.size() ? i + 1 : i;
  }
  if (text[1] == ']') {  // a title or a link, up to BEL or ESC "\"
    for (std::size_t i = 2; i < text.size(); ++i) {
      if (text[i] == kBell) return i + 1;
      if (text[i] == kEscape) return i + 1 < text.size() && text[i + 1] == '\\' ? i + 2 : i;
    }
    return 2;  // not ended on this line, so it is none
  }
  return 2;
}

}  // namespace

std::string_view plain(std::string_view line, std::string& buffer) {
  line = line.substr(0, PlainLines::kMaxLine);
  std::size_t at = line.find(kEscape);
  if (at == std::string_view::npos) return line;
  buffer.clear();
  while (at != std::string_view::npos) {
    buffer.append(line.substr(0, at));
    line.remove_prefix(at);
    // Only so far: an unended title must not be searched for to the end of the line each time.
    line.remove_prefix(escape_size(line.substr(0, 512)));
    at = line.find(kEscape);
  }
  buffer.append(line);
  return buffer;
}

const PlainLines::Line* PlainLines::current() {
  if (loaded_) return &line_;
  const TextLines::Line* raw = lines_.peek();
  if (raw == nullptr) return nullptr;
  line_.text = prefix_.strip(plain(raw->text, buffer_));
  line_.offset = raw->offset;
  line_.complete = raw->complete;
  loaded_ = true;
  return &line_;
}

void PlainLines::advance() {
  lines_.advance();
  loaded_ = false;
}

const PlainLines::Line* PlainLines::following() {
  const TextLines::Line* raw = lines_.peek(1);
  if (raw == nullptr) return nullptr;
  following_.text = prefix_.strip(plain(raw->text, following_buffer_));
  following_.offset = raw->offset;
  following_.complete = raw->complete;
  return &following_;
}

void RecentLines::push(const PlainLines::Line& line) {
  constexpr std::size_t kLongest = 512;  // no folded line is longer
  if (line.text.size() > kLongest) {
    lines_.clear();
    return;
  }
  lines_.push_back({std::string(trim(line.text)), line.offset});
  if (lines_.size() > kLines) lines_.pop_front();
}

std::optional<RecentLines::Joined> RecentLines::last(std::size_t count) const {
  if (count == 0 || count > lines_.size()) return std::nullopt;
  const std::size_t first = lines_.size() - count;
  Joined joined{{}, lines_[first].offset};
  for (std::size_t i = first; i < lines_.size(); ++i) {
    if (i != first) joined.text.push_back(' ');
    joined.text += lines_[i].text;
  }
  return joined;
}

void PlainLines::begins_at(std::size_t taken) {
  const Line* line = current();
  if (line == nullptr || taken == 0 || taken > line->text.size()) return;
  const std::string_view head = line->text.substr(0, taken);
  // Blanks only are the report's own indentation.
  if (taken <= kMaxPrefix && head.find_first_not_of(" \t") != std::string_view::npos) {
    prefix_ = LinePrefix(head);
  }
  line_.text.remove_prefix(taken);
}

}  // namespace culprit::crash
