// A register file of which only some registers are known: what unwinding knows about a caller.
#pragma once

#include <cstdint>
#include <optional>

#include "base/registers.h"

namespace culprit::binary {

/// Registers with a validity bit each. A register that is not valid holds no usable value: the
/// callee may have overwritten it.
struct PartialRegisters {
  Registers values;
  std::uint32_t valid_gpr = 0;  ///< bit n: values.gpr[n] is known
  bool valid_pc = false;
  bool valid_segments = false;  ///< fs_base and gs_base are known

  /// All registers of a stopped thread: everything valid.
  static PartialRegisters all(const Registers& r) { return {r, 0xFFFF, true, true}; }

  [[nodiscard]] bool has(Gpr r) const { return (valid_gpr >> static_cast<unsigned>(r)) & 1U; }
  [[nodiscard]] std::optional<std::uint64_t> get(Gpr r) const {
    if (!has(r)) return std::nullopt;
    return values[r];
  }
  void set(Gpr r, std::uint64_t value) {
    values[r] = value;
    valid_gpr |= 1U << static_cast<unsigned>(r);
  }
  void clear(Gpr r) { valid_gpr &= ~(1U << static_cast<unsigned>(r)); }
};

/// DWARF register number (System V ABI AMD64 1.0, figure 3.36: rax rdx rcx rbx rsi rdi rbp rsp
/// r8–r15, 16 = return address) to Gpr; nothing for others.
[[nodiscard]] std::optional<Gpr> gpr_of_dwarf(std::uint64_t dwarf_register);
/// The reverse.
[[nodiscard]] std::uint64_t dwarf_of_gpr(Gpr r);
/// "rax" ...
[[nodiscard]] const char* gpr_name(Gpr r);

}  // namespace culprit::binary
