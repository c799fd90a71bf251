// Options that several commands read in the same way.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace culprit::cli {

/// What the user names a slot by: one of the two.
struct NamedSlot {
  std::optional<Address> address;
  std::string expression;  ///< of the program's source
};

/// Text that begins with a digit, or has eight and more hexadecimal digits and nothing else, is an
/// address in hexadecimal, with or without 0x; all else is an expression. `option` is named in the
/// error. Errors: usage.
[[nodiscard]] Result<NamedSlot> parse_slot(std::string_view option, std::string_view text);

/// "OLD=NEW" each: the recorded prefix and the local one. Errors: usage.
[[nodiscard]] Result<std::vector<std::pair<std::string, std::string>>> parse_source_maps(
    const std::vector<std::string>& maps);

}  // namespace culprit::cli
