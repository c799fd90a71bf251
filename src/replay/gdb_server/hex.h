// Hexadecimal numbers and bytes of gdb's remote protocol.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>

namespace culprit::replay::gdb {

/// All of `text` as an unsigned hexadecimal number, without a prefix or a sign.
template <std::unsigned_integral T>
[[nodiscard]] std::optional<T> parse_hex(std::string_view text) {
  T out{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

template <std::unsigned_integral T>
[[nodiscard]] std::string print_hex(T value) {
  char digits[2 * sizeof(T)];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, 16).ptr;
  return std::string(digits, end);
}

/// Two digits a byte, in memory order. Nothing if there is something else.
[[nodiscard]] inline std::optional<std::string> parse_hex_bytes(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto byte = parse_hex<unsigned char>(text.substr(i, 2));
    if (!byte) return std::nullopt;
    out += static_cast<char>(*byte);
  }
  return out;
}

[[nodiscard]] inline std::string print_hex_bytes(std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

}  // namespace culprit::replay::gdb
