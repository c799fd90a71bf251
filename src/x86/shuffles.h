// Private to x86/: SIMD instructions that only rearrange bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "x86/zydis_decode.h"

namespace culprit::x86 {

/// Where one destination byte comes from: byte `byte` of operand `operand`, or the constant zero.
struct ByteSource {
  static constexpr std::int8_t kZero = -1;
  std::int8_t operand = kZero;
  std::uint8_t byte = 0;
  bool operator==(const ByteSource&) const = default;
};

/// Sources of destination bytes 0..size-1.
struct ByteMap {
  std::size_t size = 0;
  std::array<ByteSource, 64> bytes{};
};

/// Fills `map` if the instruction is a byte rearrangement that is known here. `visible`: indices of
/// its visible operands without an AVX-512 mask; visible[0] is the destination. `map` covers the
/// whole destination operand; bytes that keep their value are their own source.
bool byte_map(const ZydisView& view, std::span<const std::uint8_t> visible, ByteMap& map);

}  // namespace culprit::x86
