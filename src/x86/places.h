// Where an instruction finds and leaves its bytes: ranges of register bytes, and memory operands
// with their address formula.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/registers.h"
#include "base/types.h"

namespace culprit::x86 {

/// The register files that are told apart. Numbers and widths per class are given beside each name.
enum class RegisterClass : std::uint8_t {
  gpr,           ///< rax..r15 by Gpr number, 8 bytes each
  vector,        ///< zmm0..zmm31, 64 bytes each; xmmN and ymmN are its low 16 and 32 bytes
  mask,          ///< k0..k7, 8 bytes each
  mmx,           ///< mm0..mm7, 8 bytes each. x87 instructions are taken to touch all of them
  segment_base,  ///< 0 = fs, 1 = gs, 8 bytes each (the base address, not the selector)
  flags,         ///< number 0, 8 bytes, always as a whole
  other,         ///< number 0, 8 bytes: mxcsr, control and debug registers and the like, as a whole
};

/// Bytes [offset, offset + size) of one register. al is {gpr, 0, 0, 1}, ah {gpr, 0, 1, 1}.
struct RegisterBytes {
  RegisterClass cls = RegisterClass::gpr;
  std::uint8_t number = 0;
  std::uint8_t offset = 0;
  std::uint8_t size = 8;

  constexpr auto operator<=>(const RegisterBytes&) const = default;
  constexpr bool same_register(const RegisterBytes& r) const {
    return cls == r.cls && number == r.number;
  }
  constexpr bool overlaps(const RegisterBytes& r) const {
    return same_register(r) && offset < r.offset + r.size && r.offset < offset + size;
  }
};

/// All eight bytes of `r`.
constexpr RegisterBytes whole(Gpr r) {
  return {RegisterClass::gpr, static_cast<std::uint8_t>(r), 0, 8};
}

/// The width of the registers of a class in bytes.
std::uint8_t register_width(RegisterClass cls);

/// The assembler's name where the bytes have one ("rax", "eax", "ah", "xmm3"), else the widest
/// register's name with the byte range ("rax[2:4]").
std::string to_string(const RegisterBytes& r);

/// The bytes of a general-purpose register as a zero-extended number; nothing for other classes.
std::optional<std::uint64_t> value_of(const RegisterBytes& r, const Registers& registers);

/// The segment override that adds a base address (cs, ds, es, ss have base 0 in 64-bit mode).
enum class Segment : std::uint8_t { none, fs, gs };

/// One memory access of an instruction. The formula is in terms of the registers BEFORE the
/// instruction, also for implicit accesses: push writes at rsp - 8, so its disp is -8.
struct MemOperand {
  std::optional<Gpr> base;
  std::optional<Gpr> index;
  std::uint8_t scale = 1;  ///< 1, 2, 4 or 8
  std::int64_t disp = 0;   ///< rip-relative operands: the resolved address, and no base
  Segment segment = Segment::none;
  std::uint8_t address_size = 8;  ///< bytes of the address arithmetic: 8, or 4 (wraps at 4 GiB)
  std::uint8_t index_size = 8;    ///< 1 for xlat (al), else 8
  bool rip_relative = false;      ///< as written in the code; disp is already absolute
  /// bt, bts, btr, btc with a register: the signed bit number that moves the address by whole units
  /// of `size` bytes (Intel SDM vol. 2, 3.1.1.9, "Bit(BitBase, BitOffset)").
  std::optional<RegisterBytes> bit_offset;
  bool no_single_address = false;  ///< gather and scatter
  bool repeated = false;           ///< has a rep prefix: this is the element of the next iteration
  bool conditional = false;        ///< accessed only under a mask or condition
  bool read = false;
  bool written = false;
  std::uint32_t size = 0;  ///< bytes of one access (one iteration for rep); 0 if not known

  bool operator==(const MemOperand&) const = default;
};

/// The address that `operand` accesses when the instruction starts with `before`. Nothing for
/// vector indexes, whose registers are not in Registers.
std::optional<Address> effective_address(const MemOperand& operand, const Registers& before);

/// "[rbp-0x18]", "fs:[0x28]", "[rip: 0x4c5200]".
std::string to_string(const MemOperand& operand);

}  // namespace culprit::x86
