// A number that was read from text: the text that says it.
#pragma once

#include <cstdint>
#include <optional>

#include "base/memory.h"
#include "base/types.h"

namespace culprit::provenance {

/// `character` is a character that a number was computed from. Is it a digit of a text that says
/// `value`, in decimal, hexadecimal or octal, with a sign or not, to its end or up to this
/// character? `size`: bytes of `value` (1–8) that count; a number that does not fit is cut, as
/// parsers in C do. The address of the text's first digit, or nothing.
[[nodiscard]] std::optional<Address> text_of_number(const MemoryReader& memory, Address character,
                                                    std::uint64_t value, std::uint32_t size);

}  // namespace culprit::provenance
