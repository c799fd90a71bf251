#include "report/sanitize.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

namespace culprit::report {
namespace {

constexpr std::string_view kEllipsis = "\xe2\x80\xa6";

struct Character {
  std::uint32_t code = 0;
  std::size_t bytes = 0;  // 0: not UTF-8
};

bool is_continuation(std::string_view text, std::size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
}

// One character at `at`; overlong forms, surrogates and numbers over U+10FFFF are not UTF-8.
Character decode(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  std::size_t length = 0;
  std::uint32_t code = 0;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
    code = first & 0x1FU;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    code = first & 0x0FU;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    code = first & 0x07U;
  } else {
    return {};
  }
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(text, at + i)) return {};
    code = code << 6 | (byte(i) & 0x3FU);
  }
  if ((length == 3 && code < 0x800) || (length == 4 && code < 0x10000)) return {};
  if ((code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF) return {};
  return {code, length};
}

// Characters that change how the text around them is shown, or that end lines for some readers.
bool acts_on_reader(std::uint32_t code) {
  return (code >= 0x80 && code <= 0x9F) || code == 0xAD || code == 0x61C || code == 0x115F ||
         code == 0x1160 || code == 0x17B4 || code == 0x17B5 || code == 0x180E ||
         (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
         (code >= 0x2060 && code <= 0x206F) || code == 0x3164 || code == 0xFEFF || code == 0xFFA0 ||
         (code >= 0xFFF9 && code <= 0xFFFB) || (code & 0xFFFE) == 0xFFFE ||
         (code >= 0xFDD0 && code <= 0xFDEF) || (code >= 0xE0000 && code <= 0xE0FFF);
}

}  // namespace

std::string sanitize(std::string_view text, std::size_t limit, Lines lines) {
  std::string out;
  out.reserve(text.size() < limit ? text.size() : limit);
  std::size_t fits = 0;  // length of the longest prefix of `out` that leaves room for "…"
  for (std::size_t at = 0; at < text.size();) {
    const Character c = decode(text, at);
    const std::size_t before = out.size();
    if (c.bytes == 0) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text[at]));
      ++at;
    } else {
      const bool kept = c.code == '\n'   ? lines == Lines::many
                        : c.code == '\t' ? lines != Lines::one
                                         : c.code >= 0x20 && c.code != 0x7F;
      if (!kept) {
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", c.code);
      } else if (acts_on_reader(c.code)) {
        fmt::format_to(std::back_inserter(out), "\\u{{{:04x}}}", c.code);
      } else {
        out.append(text.substr(at, c.bytes));
      }
      at += c.bytes;
    }
    if (before + kEllipsis.size() <= limit) fits = before;
    if (out.size() > limit) {
      out.resize(fits);
      out.append(kEllipsis);
      break;
    }
  }
  return out;
}

}  // namespace culprit::report
