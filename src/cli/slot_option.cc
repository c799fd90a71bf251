#include "cli/slot_option.h"

#include "crash/overrides.h"

namespace culprit::cli {

Result<NamedSlot> parse_slot(std::string_view option, std::string_view text) {
  NamedSlot out;
  if (text.empty()) return Error{ErrorCode::usage, std::string(option) + ": it is empty"};
  // "c000100000" is an address too; a variable of such a name can be written as (deadbeef).
  constexpr std::size_t kLikeAnAddress = 8;
  const bool digits = text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
  const bool number = text.front() >= '0' && text.front() <= '9';
  if (!number && !(digits && text.size() >= kLikeAnAddress)) {
    out.expression = text;
    return out;
  }
  CULPRIT_ASSIGN(const std::uint64_t value, crash::parse_hex(option, text));
  out.address = Address{value};
  return out;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_source_maps(
    const std::vector<std::string>& maps) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& map : maps) {
    const std::size_t equals = map.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error{ErrorCode::usage, "--source-map " + map + ": say OLD=NEW"};
    }
    out.emplace_back(map.substr(0, equals), map.substr(equals + 1));
  }
  return out;
}

}  // namespace culprit::cli
