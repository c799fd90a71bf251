#include "crash/asan_address.h"

#include "crash/text_lines.h"

namespace culprit::crash {
namespace {

constexpr std::string_view kLocated = " is located ";

// The text between the first quote and `after`, which begins with the last one.
std::optional<std::string> quoted(std::string_view& text, std::string_view after) {
  if (!take(text, "'")) return std::nullopt;
  const std::size_t end = text.find(after);
  if (end == std::string_view::npos) return std::nullopt;
  std::string name(text.substr(0, end));
  text.remove_prefix(end + after.size());
  return name;
}

bool take_where(std::string_view& text, LocatedAddress& located) {
  using Where = LocatedAddress::Where;
  const auto distance = take_decimal(text);
  if (!distance || (!take(text, " bytes ") && !take(text, " byte "))) return false;
  located.distance = *distance;
  if (take(text, "inside of ") || take(text, "inside ")) {
    located.where = Where::inside;
  } else if (take(text, "to the right of ") || take(text, "after ")) {
    located.where = Where::after;
  } else if (take(text, "to the left of ") || take(text, "before ")) {
    located.where = Where::before;
  } else {
    return false;
  }
  take(text, "a ");
  return true;
}

// "16-byte region [0x602000000010,0x602000000020)".
bool take_region(std::string_view text, LocatedAddress& located) {
  if (!take_decimal(text) || !take(text, "-byte region [")) return false;
  const auto begin = take_hex(text);
  if (!begin || !take(text, ",")) return false;
  const auto end = take_hex(text);
  if (!end || !take(text, ")") || *end < *begin) return false;
  located.what = LocatedAddress::What::heap_block;
  located.object = ByteRange{Address{*begin}, *end - *begin};
  return true;
}

// "global variable 'x' defined in 'a.c:3:5' (0x…) of size 16"; before version 3.9, "from 'a.c'".
bool take_global(std::string_view text, LocatedAddress& located) {
  if (!take(text, "global variable ")) return false;
  std::string_view rest = text;
  auto name = quoted(rest, "' defined in ");
  if (!name) {
    rest = text;
    name = quoted(rest, "' from ");
  }
  if (!name) return false;
  const std::size_t at = rest.rfind(" (0x");
  if (at == std::string_view::npos) return false;
  rest.remove_prefix(at + 2);
  const auto begin = take_hex(rest);
  if (!begin || !take(rest, ") of size ")) return false;
  const auto size = take_decimal(rest);
  if (!size || *begin + *size < *begin) return false;
  located.what = LocatedAddress::What::global;
  located.name = clip(*name, 1024);
  located.object = ByteRange{Address{*begin}, *size};
  return true;
}

}  // namespace

std::optional<LocatedAddress> parse_located_address(std::string_view text) {
  text = trim(text);
  take(text, "Address ");
  LocatedAddress located;
  const auto address = take_hex(text);
  if (!address || !take(text, kLocated)) return std::nullopt;
  located.address = Address{*address};
  if (take(text, "in stack of thread ")) {
    located.what = LocatedAddress::What::frame;
    const std::size_t end = text.find(" at offset ");
    if (end == std::string_view::npos) return std::nullopt;
    located.thread = clip(text.substr(0, end), 64);
    text.remove_prefix(end + 11);
    const auto offset = take_decimal(text);
    if (!offset || !text.starts_with(" in frame")) return std::nullopt;
    located.frame_offset = *offset;
    return located;
  }
  if (!take_where(text, located)) return std::nullopt;
  if (!take_region(text, located) && !take_global(text, located)) return std::nullopt;
  return located;
}

bool is_open_located_address(std::string_view text) {
  text = trim(text);
  take(text, "Address ");
  std::string_view rest = text;
  return take_hex(rest) && rest.starts_with(" is located") && !parse_located_address(text) &&
         !text.ends_with('.');
}

std::optional<FrameVariable> parse_frame_variable(std::string_view text) {
  text = trim(text);
  FrameVariable variable;
  if (!take(text, "[")) return std::nullopt;
  const auto begin = take_decimal(text);
  if (!begin || !take(text, ", ")) return std::nullopt;
  const auto end = take_decimal(text);
  if (!end || *end < *begin || !take(text, ") '")) return std::nullopt;
  const std::size_t quote = text.find('\'');
  if (quote == std::string_view::npos) return std::nullopt;
  variable.begin = *begin;
  variable.end = *end;
  variable.name = clip(text.substr(0, quote), 1024);
  variable.accessed = text.find(" <== ", quote) != std::string_view::npos;
  return variable;
}

}  // namespace culprit::crash
