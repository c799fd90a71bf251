#include "x86/places.h"

#include <fmt/format.h>

#include <array>
#include <bit>

namespace culprit::x86 {
namespace {

constexpr std::array<const char*, 16> kNames64 = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                  "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                  "r12", "r13", "r14", "r15"};
constexpr std::array<const char*, 16> kNames32 = {"eax",  "ecx",  "edx",  "ebx", "esp",  "ebp",
                                                  "esi",  "edi",  "r8d",  "r9d", "r10d", "r11d",
                                                  "r12d", "r13d", "r14d", "r15d"};
constexpr std::array<const char*, 16> kNames16 = {"ax",   "cx",   "dx",   "bx",  "sp",   "bp",
                                                  "si",   "di",   "r8w",  "r9w", "r10w", "r11w",
                                                  "r12w", "r13w", "r14w", "r15w"};
constexpr std::array<const char*, 16> kNames8 = {"al",   "cl",   "dl",   "bl",  "spl",  "bpl",
                                                 "sil",  "dil",  "r8b",  "r9b", "r10b", "r11b",
                                                 "r12b", "r13b", "r14b", "r15b"};
constexpr std::array<const char*, 4> kNamesHigh8 = {"ah", "ch", "dh", "bh"};

std::string with_range(const std::string& name, const RegisterBytes& r, unsigned width) {
  if (r.offset == 0 && r.size == width) return name;
  return fmt::format("{}[{}:{}]", name, r.offset, r.offset + r.size);
}

std::string gpr_name(const RegisterBytes& r) {
  const std::size_t n = r.number & 15U;
  if (r.offset == 0) {
    switch (r.size) {
      case 8:
        return kNames64[n];
      case 4:
        return kNames32[n];
      case 2:
        return kNames16[n];
      case 1:
        return kNames8[n];
      default:
        break;
    }
  }
  if (r.offset == 1 && r.size == 1 && n < kNamesHigh8.size()) return kNamesHigh8[n];
  return with_range(kNames64[n], r, 8);
}

}  // namespace

std::uint8_t register_width(RegisterClass cls) { return cls == RegisterClass::vector ? 64 : 8; }

std::string to_string(const RegisterBytes& r) {
  const unsigned n = r.number;
  switch (r.cls) {
    case RegisterClass::gpr:
      return gpr_name(r);
    case RegisterClass::vector:
      if (r.offset == 0 && r.size == 16) return fmt::format("xmm{}", n);
      if (r.offset == 0 && r.size == 32) return fmt::format("ymm{}", n);
      if (r.offset + r.size <= 16) return with_range(fmt::format("xmm{}", n), r, 16);
      if (r.offset + r.size <= 32) return with_range(fmt::format("ymm{}", n), r, 32);
      return with_range(fmt::format("zmm{}", n), r, 64);
    case RegisterClass::mask:
      return with_range(fmt::format("k{}", n), r, 8);
    case RegisterClass::mmx:
      return with_range(fmt::format("mm{}", n), r, 8);
    case RegisterClass::segment_base:
      return with_range(n == 0 ? "fs_base" : "gs_base", r, 8);
    case RegisterClass::flags:
      return "rflags";
    case RegisterClass::other:
      break;
  }
  return "control state";
}

std::optional<std::uint64_t> value_of(const RegisterBytes& r, const Registers& registers) {
  std::uint64_t whole_value = 0;
  switch (r.cls) {
    case RegisterClass::gpr:
      whole_value = registers.gpr[r.number & 15U];
      break;
    case RegisterClass::segment_base:
      whole_value = r.number == 0 ? registers.fs_base : registers.gs_base;
      break;
    case RegisterClass::flags:
      whole_value = registers.rflags;
      break;
    default:
      return std::nullopt;
  }
  if (r.offset >= 8) return std::nullopt;
  whole_value >>= 8U * r.offset;
  if (r.size < 8) whole_value &= (std::uint64_t{1} << (8U * r.size)) - 1;
  return whole_value;
}

std::optional<Address> effective_address(const MemOperand& operand, const Registers& before) {
  if (operand.no_single_address) return std::nullopt;
  std::uint64_t sum = static_cast<std::uint64_t>(operand.disp);
  if (operand.base) sum += before[*operand.base];
  if (operand.index) {
    std::uint64_t index = before[*operand.index];
    if (operand.index_size == 1) index &= 0xff;
    sum += index * operand.scale;
  }
  if (operand.bit_offset && operand.size != 0) {
    const unsigned bits = 8U * operand.bit_offset->size;
    std::uint64_t offset = value_of(*operand.bit_offset, before).value_or(0);
    if (bits < 64 && ((offset >> (bits - 1)) & 1U) != 0) offset |= ~std::uint64_t{0} << bits;
    // An arithmetic shift: C++20 defines it for signed numbers.
    const std::int64_t units =
        static_cast<std::int64_t>(offset) >> std::countr_zero(8 * operand.size);
    sum += static_cast<std::uint64_t>(units) * operand.size;
  }
  if (operand.address_size == 4) sum &= 0xffff'ffff;
  if (operand.segment == Segment::fs) sum += before.fs_base;
  if (operand.segment == Segment::gs) sum += before.gs_base;
  return Address{sum};
}

std::string to_string(const MemOperand& operand) {
  const auto& names = operand.address_size == 4 ? kNames32 : kNames64;
  std::string text;
  if (operand.segment == Segment::fs) text += "fs:";
  if (operand.segment == Segment::gs) text += "gs:";
  text += '[';
  if (operand.rip_relative) text += "rip: ";
  bool first = true;
  if (operand.base) {
    text += names[static_cast<std::size_t>(*operand.base)];
    first = false;
  }
  if (operand.index) {
    if (!first) text += '+';
    text += operand.index_size == 1 ? kNames8[static_cast<std::size_t>(*operand.index)]
                                    : names[static_cast<std::size_t>(*operand.index)];
    if (operand.scale != 1) text += fmt::format("*{}", operand.scale);
    first = false;
  }
  if (operand.bit_offset) text += (first ? "" : "+") + to_string(*operand.bit_offset) + "/8";
  if (operand.no_single_address) text += first ? "?" : "+?";
  const auto magnitude = static_cast<std::uint64_t>(operand.disp);
  if (first) {
    text += fmt::format("{:#x}", magnitude);
  } else if (operand.disp < 0) {
    text += fmt::format("-{:#x}", std::uint64_t{0} - magnitude);
  } else if (operand.disp > 0) {
    text += fmt::format("+{:#x}", magnitude);
  }
  return text + ']';
}

}  // namespace culprit::x86
