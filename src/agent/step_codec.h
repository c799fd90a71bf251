// How a step window's registers travel: each record is the difference to the one before.
//
// One record:
//   u8 head: bits 0-4 number of changed general-purpose registers (0-16), bit 5 rflags changed,
//            bit 6 fs_base, gs_base or orig_rax changed
//   varint   zigzag(rip - previous rip)
//   varint   rflags ^ previous rflags                       if bit 5
//   varint   x3: fs_base, gs_base, orig_rax ^ previous ones if bit 6
//   per changed register: u8 (bits 0-3 register, bits 4-6 number of bytes - 1), then that many low
//            bytes of value ^ previous value, little endian
// The first record of a chunk is the difference to all zeros. A varint has 7 bits a byte, low
// first, at most 10 bytes. Measured on Go and C code: 8 to 12 bytes an instruction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/registers.h"

namespace culprit::agent {

/// An upper bound of one record's size.
inline constexpr std::size_t kMaxStepRecord = 1 + 10 + 10 + 3 * 10 + 16 * 9;

namespace step_codec_detail {

inline void put_varint(std::vector<std::uint8_t>& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<std::uint8_t>(value));
}

inline bool get_varint(std::span<const std::uint8_t>& in, std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (in.empty()) return false;
    const std::uint8_t byte = in.front();
    in = in.subspan(1);
    if (shift == 63 && byte > 1) return false;
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

}  // namespace step_codec_detail

/// Appends the record of `now` after `previous`.
inline void encode_step(std::vector<std::uint8_t>& out, const Registers& previous,
                        const Registers& now) {
  using step_codec_detail::put_varint;
  const std::size_t head = out.size();
  out.push_back(0);
  const std::uint64_t delta = now.rip - previous.rip;
  put_varint(out, (delta << 1) ^ (delta >> 63 ? ~std::uint64_t{0} : 0));
  std::uint8_t flags = 0;
  if (now.rflags != previous.rflags) {
    flags |= 0x20;
    put_varint(out, now.rflags ^ previous.rflags);
  }
  if (now.fs_base != previous.fs_base || now.gs_base != previous.gs_base ||
      now.orig_rax != previous.orig_rax) {
    flags |= 0x40;
    put_varint(out, now.fs_base ^ previous.fs_base);
    put_varint(out, now.gs_base ^ previous.gs_base);
    put_varint(out, now.orig_rax ^ previous.orig_rax);
  }
  std::uint8_t changed = 0;
  for (std::size_t i = 0; i < now.gpr.size(); ++i) {
    std::uint64_t difference = now.gpr[i] ^ previous.gpr[i];
    if (difference == 0) continue;
    ++changed;
    const std::size_t descriptor = out.size();
    out.push_back(0);
    std::uint8_t count = 0;
    for (; difference != 0; difference >>= 8, ++count) {
      out.push_back(static_cast<std::uint8_t>(difference));
    }
    out[descriptor] = static_cast<std::uint8_t>(i | static_cast<std::size_t>(count - 1) << 4);
  }
  out[head] = static_cast<std::uint8_t>(flags | changed);
}

/// Takes one record off the front of `in` and applies it to `registers`. False if it is malformed.
inline bool decode_step(std::span<const std::uint8_t>& in, Registers& registers) {
  using step_codec_detail::get_varint;
  if (in.empty()) return false;
  const std::uint8_t head = in.front();
  in = in.subspan(1);
  const unsigned changed = head & 0x1f;
  if (changed > registers.gpr.size() || (head & 0x80) != 0) return false;
  std::uint64_t value = 0;
  if (!get_varint(in, value)) return false;
  registers.rip += (value >> 1) ^ (~(value & 1) + 1);
  if ((head & 0x20) != 0) {
    if (!get_varint(in, value)) return false;
    registers.rflags ^= value;
  }
  if ((head & 0x40) != 0) {
    for (std::uint64_t* field : {&registers.fs_base, &registers.gs_base, &registers.orig_rax}) {
      if (!get_varint(in, value)) return false;
      *field ^= value;
    }
  }
  for (unsigned i = 0; i < changed; ++i) {
    if (in.empty()) return false;
    const std::uint8_t descriptor = in.front();
    const std::size_t count = static_cast<std::size_t>(descriptor >> 4 & 7) + 1;
    if ((descriptor & 0x80) != 0 || in.size() < 1 + count) return false;
    std::uint64_t difference = 0;
    for (std::size_t b = 0; b < count; ++b) {
      difference |= static_cast<std::uint64_t>(in[1 + b]) << (8 * b);
    }
    registers.gpr[descriptor & 0xf] ^= difference;
    in = in.subspan(1 + count);
  }
  return true;
}

}  // namespace culprit::agent
