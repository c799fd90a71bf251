// The general-purpose register file of a stopped x86-64 thread, as plain data.
#pragma once

#include <array>
#include <cstdint>

#include "base/types.h"

namespace culprit {

/// General-purpose registers by their x86 encoding number (Intel SDM vol. 2, table 2-2), which is
/// also Zydis' id order. NOT the DWARF numbering; binary/ converts.
enum class Gpr : std::uint8_t {
  rax = 0, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15,
};

/// One thread's integer state. All values as they are at a ptrace stop.
struct Registers {
  std::array<std::uint64_t, 16> gpr{};  ///< indexed by Gpr
  std::uint64_t rip = 0;
  std::uint64_t rflags = 0;
  std::uint64_t fs_base = 0;
  std::uint64_t gs_base = 0;
  std::uint64_t orig_rax = 0;  ///< the system call's number at a system call stop

  std::uint64_t& operator[](Gpr r) { return gpr[static_cast<std::size_t>(r)]; }
  std::uint64_t operator[](Gpr r) const { return gpr[static_cast<std::size_t>(r)]; }
  Address pc() const { return Address{rip}; }
  Address sp() const { return Address{(*this)[Gpr::rsp]}; }
  constexpr bool operator==(const Registers&) const = default;
};

}  // namespace culprit
