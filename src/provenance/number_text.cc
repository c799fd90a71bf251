#include "provenance/number_text.h"

#include <array>
#include <cstddef>
#include <initializer_list>

namespace culprit::provenance {
namespace {

/// Digits of one number on each side of the character, signs and prefixes included.
constexpr std::int64_t kReach = 72;

std::optional<unsigned> digit_of(char c, unsigned base) {
  unsigned digit = base;
  if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A') + 10;
  return digit < base ? std::optional(digit) : std::nullopt;
}

/// The readable characters around one; what is not readable is 0.
struct Text {
  std::array<char, 2 * kReach + 1> bytes{};
  [[nodiscard]] char at(std::int64_t offset) const {
    const std::int64_t i = offset + kReach;
    return i < 0 || i > 2 * kReach ? '\0' : bytes[static_cast<std::size_t>(i)];
  }
};

}  // namespace

std::optional<Address> text_of_number(const MemoryReader& memory, Address character,
                                      std::uint64_t value, std::uint32_t size) {
  if (size == 0 || size > 8) return std::nullopt;
  Text text;
  for (std::int64_t i = -kReach; i <= kReach; ++i) {
    if (const auto c = memory.read_as<char>(character + i))
      text.bytes[static_cast<std::size_t>(i + kReach)] = *c;
  }
  const std::uint64_t mask = size == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * size)) - 1;
  for (const unsigned base : {10U, 16U, 8U}) {
    if (!digit_of(text.at(0), base)) continue;
    std::int64_t first = 0;
    while (first > -kReach && digit_of(text.at(first - 1), base)) --first;
    std::int64_t sign = first - 1;
    if (base == 16 && (text.at(sign) == 'x' || text.at(sign) == 'X') && text.at(sign - 1) == '0')
      sign -= 2;
    const bool negative = text.at(sign) == '-';
    std::uint64_t number = 0;
    for (std::int64_t i = first; i < kReach; ++i) {
      const auto digit = digit_of(text.at(i), base);
      if (!digit) break;
      number = number * base + *digit;
      const bool ends = i == 0 || (i > 0 && !digit_of(text.at(i + 1), base));
      const std::uint64_t said = negative ? 0 - number : number;
      if (ends && (said & mask) == (value & mask)) return character + first;
    }
  }
  return std::nullopt;
}

}  // namespace culprit::provenance
