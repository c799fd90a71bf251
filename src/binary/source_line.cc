#include "binary/source_line.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>

namespace culprit::binary {
namespace {

constexpr std::size_t kMaxRead = std::size_t{64} << 20;
constexpr std::size_t kMaxRawLine = 4096;
constexpr std::size_t kMaxLine = 400;

// Length of the valid UTF-8 sequence at `text`, 0 if there is none (Unicode 15, table 3-7).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  std::size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (text.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  return length;
}

// U+0080–U+009F are control characters, and U+202A–U+202E, U+2066–U+2069 reorder what a reader
// sees ("Trojan Source"): neither may reach a terminal.
bool harmful(std::string_view sequence) {
  if (sequence.size() == 2) {
    return sequence[0] == '\xC2' && static_cast<unsigned char>(sequence[1]) < 0xA0;
  }
  if (sequence.size() != 3 || sequence[0] != '\xE2') return false;
  const auto third = static_cast<unsigned char>(sequence[2]);
  return (sequence[1] == '\x80' && third >= 0xAA && third <= 0xAE) ||
         (sequence[1] == '\x81' && third >= 0xA6 && third <= 0xA9);
}

std::string sanitize(std::string_view raw) {
  std::string text;
  std::size_t i = 0;
  while (i < raw.size()) {
    const std::size_t length = utf8_length(raw.substr(i));
    const std::string_view sequence = raw.substr(i, length == 0 ? 1 : length);
    const auto lead = static_cast<unsigned char>(sequence[0]);
    if (lead == '\t') {
      text += ' ';
    } else if (length == 0 || lead < 0x20 || lead == 0x7F || harmful(sequence)) {
      text += '?';
    } else {
      if (text.size() + sequence.size() > kMaxLine) break;
      text += sequence;
    }
    if (text.size() >= kMaxLine) break;
    i += sequence.size();
  }
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

}  // namespace

std::optional<std::string> SourceReader::line(const std::string& file, std::uint32_t line) const {
  if (file.empty() || line == 0) return std::nullopt;
  std::string path = file;
  for (const auto& [from, to] : prefix_map_) {
    if (!from.empty() && file.compare(0, from.size(), from) == 0) {
      path = to + file.substr(from.size());
      break;
    }
  }
  // Not blocking: the name comes from the program under test and may be that of a FIFO or device.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return std::nullopt;
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    return std::nullopt;
  }
  std::array<char, 65536> buffer;
  std::string raw;
  std::uint32_t current = 1;
  std::size_t total = 0;
  bool done = false;
  while (!done && total < kMaxRead) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got <= 0) break;
    total += static_cast<std::size_t>(got);
    for (const char c : std::string_view(buffer.data(), static_cast<std::size_t>(got))) {
      if (c == '\n') {
        if (current == line) {
          done = true;
          break;
        }
        ++current;
      } else if (current == line && raw.size() < kMaxRawLine) {
        raw += c;
      }
    }
  }
  ::close(fd);
  if (current != line || (!done && raw.empty())) return std::nullopt;
  if (!raw.empty() && raw.back() == '\r') raw.pop_back();
  return sanitize(raw);
}

}  // namespace culprit::binary
