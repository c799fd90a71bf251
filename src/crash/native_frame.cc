#include "crash/native_frame.h"

#include <limits>
#include <string>
#include <utility>

#include "crash/text_lines.h"

namespace culprit::crash {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes ":12" off the end.
std::optional<std::uint32_t> take_number_behind(std::string_view& text) {
  std::size_t at = text.size();
  while (at > 0 && is_digit(text[at - 1])) --at;
  if (at == text.size() || at == 0 || text[at - 1] != ':' || text.size() - at > 10) {
    return std::nullopt;
  }
  std::string_view digits = text.substr(at);
  const auto value = take_decimal(digits);
  if (!value || *value > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  text.remove_suffix(text.size() - at + 1);
  return static_cast<std::uint32_t>(*value);
}

// "(prog+0x1234)" at the end of `text`; taken off with the blanks before it.
void take_module(std::string_view& text, Frame& frame) {
  if (const std::size_t at = text.rfind(" (BuildId: "); at != std::string_view::npos) {
    text = trim(text.substr(0, at));
  }
  if (!text.ends_with(')')) return;
  const std::size_t plus = text.rfind("+0x");
  if (plus == std::string_view::npos) return;
  std::string_view offset = text.substr(plus + 1);
  const auto value = take_hex(offset);
  if (!value || offset != ")") return;
  const std::size_t open = text.rfind('(', plus);
  if (open == std::string_view::npos || (open > 0 && text[open - 1] != ' ')) return;
  frame.module = std::string(text.substr(open + 1, plus - open - 1));
  frame.module_offset = *value;
  text = trim(text.substr(0, open));
}

// "FUNCTION PLACE": the place begins with the first blank before a "/" from which on the rest is a
// place, or else is the last word.
void split_place(std::string_view text, Frame& frame) {
  const std::size_t last = text.rfind(' ');
  const std::size_t slash = text.find(" /");
  for (const std::size_t at : {slash, last}) {
    if (at == std::string_view::npos) continue;
    if (parse_place(text.substr(at + 1), frame)) {
      frame.function = std::string(trim(text.substr(0, at)));
      return;
    }
  }
  if (text.ends_with(" <null>")) {
    text.remove_suffix(7);
  } else if (last != std::string_view::npos) {
    // A file without lines: "../sysdeps/x86_64/start.S", "<null>".
    const std::string_view word = text.substr(last + 1);
    if (word.starts_with('/') || word.starts_with("../")) {
      frame.file = std::string(word);
      text = text.substr(0, last);
    }
  }
  frame.function = std::string(trim(text));
}

}  // namespace

bool parse_place(std::string_view text, Frame& frame) {
  std::string_view rest = text;
  const auto last = take_number_behind(rest);
  if (!last) return false;
  const auto line = take_number_behind(rest);
  if (rest.empty()) return false;
  frame.file = std::string(rest);
  frame.line = line ? *line : *last;
  frame.column = line ? *last : 0;
  return true;
}

std::optional<NumberedFrame> parse_sanitizer_frame(std::string_view text) {
  text = trim(text);
  if (!take(text, "#")) return std::nullopt;
  const auto number = take_decimal(text);
  if (!number || *number > 100000 || !text.starts_with(' ')) return std::nullopt;
  text = trim(text);
  NumberedFrame numbered;
  numbered.number = static_cast<std::uint32_t>(*number);
  Frame& frame = numbered.frame;
  if (const auto pc = take_hex(text)) {
    frame.pc = Address{*pc};
    text = trim(text);
    take(text, "in ");
  } else if (text.starts_with("0x")) {
    return std::nullopt;
  }
  take_module(text, frame);
  split_place(text, frame);
  if (frame.function.empty() && !frame.pc && frame.module.empty()) return std::nullopt;
  return numbered;
}

bool is_open_sanitizer_frame(std::string_view text) {
  const auto numbered = parse_sanitizer_frame(text);
  if (!numbered) return false;
  const Frame& frame = numbered->frame;
  return frame.file.empty() && frame.module.empty() && !trim(text).ends_with("<null>");
}

std::optional<Frame> parse_valgrind_frame(std::string_view text) {
  text = trim(text);
  if (!take(text, "at ") && !take(text, "by ")) return std::nullopt;
  Frame frame;
  const auto pc = take_hex(text);
  if (!pc) return std::nullopt;
  frame.pc = Address{*pc};
  if (!take(text, ": ")) return std::nullopt;
  if (text.ends_with(')')) {
    // The last "(…)" is the place; a file's name may hold parentheses, but not " (".
    const std::size_t module = text.rfind(" (in ");
    const std::size_t open = module != std::string_view::npos ? module : text.rfind(" (");
    if (open != std::string_view::npos) {
      std::string_view place = text.substr(open + 2, text.size() - open - 3);
      if (take(place, "in ")) {
        frame.module = std::string(place);
        text = text.substr(0, open);
      } else if (parse_place(place, frame)) {
        text = text.substr(0, open);
      }
    }
  }
  if (text != "???") frame.function = std::string(trim(text));
  return frame;
}

std::optional<Frame> parse_glibc_frame(std::string_view text) {
  text = trim(text);
  if (!text.ends_with(']')) return std::nullopt;
  const std::size_t bracket = text.rfind("[0x");
  if (bracket == std::string_view::npos) return std::nullopt;
  std::string_view address = text.substr(bracket + 1);
  const auto pc = take_hex(address);
  if (!pc || address != "]") return std::nullopt;
  Frame frame;
  frame.pc = Address{*pc};
  text = trim(text.substr(0, bracket));
  if (text.ends_with(')')) {
    const std::size_t open = text.rfind('(');
    if (open == std::string_view::npos) return std::nullopt;
    std::string_view symbol = text.substr(open + 1, text.size() - open - 2);
    text = text.substr(0, open);
    if (const std::size_t plus = symbol.rfind("+0x"); plus != std::string_view::npos) {
      std::string_view offset = symbol.substr(plus + 1);
      const auto value = take_hex(offset);
      symbol = symbol.substr(0, plus);
      if (value && offset.empty()) {
        (symbol.empty() ? frame.module_offset : frame.pc_offset) = *value;
      }
    }
    frame.function = std::string(symbol);
  }
  if (text.find(' ') != std::string_view::npos) return std::nullopt;
  frame.module = std::string(text);
  return frame;
}

std::optional<NumberedFrame> parse_rust_frame(std::string_view text) {
  text = trim(text);
  const auto number = take_decimal(text);
  if (!number || *number > 100000 || !take(text, ":") || !text.starts_with(' ')) {
    return std::nullopt;
  }
  text = trim(text);
  NumberedFrame numbered;
  numbered.number = static_cast<std::uint32_t>(*number);
  if (const auto pc = take_hex(text)) {
    numbered.frame.pc = Address{*pc};
    if (!take(text, " - ")) return std::nullopt;
  }
  // "::h0123456789abcdef" is a hash of the crate's; without it, one function has one name.
  constexpr std::size_t kHash = 19;
  if (text.size() > kHash && text.substr(text.size() - kHash).starts_with("::h") &&
      text.substr(text.size() - kHash + 3).find_first_not_of("0123456789abcdef") ==
          std::string_view::npos) {
    text.remove_suffix(kHash);
  }
  if (text.empty()) return std::nullopt;
  if (text != "<unknown>") numbered.frame.function = std::string(text);
  return numbered;
}

bool parse_rust_place(std::string_view text, Frame& frame) {
  text = trim(text);
  return take(text, "at ") && parse_place(text, frame);
}

}  // namespace culprit::crash
