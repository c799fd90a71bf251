// Evaluating DWARF expressions over a frame (internal to this layer).
//
// DWARF 5 sections 2.5 and 2.6, and the GNU operations that gcc writes in DWARF 4
// (DW_OP_GNU_entry_value, ..._convert, ..._push_tls_address). Untrusted input: the number of steps
// and the depth of the stack are bounded, and an unknown operation ends the evaluation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/types.h"
#include "binary/partial_registers.h"
#include "binary/variables.h"

namespace llvm {
class DWARFUnit;
}

namespace culprit::binary {

/// What an expression may refer to. Unset parts make the operations that need them fail.
struct ExpressionContext {
  const PartialRegisters* registers = nullptr;
  const MemoryReader* memory = nullptr;
  std::uint64_t bias = 0;           ///< added to DW_OP_addr and DW_OP_addrx
  llvm::DWARFUnit* unit = nullptr;  ///< for addrx and base types
  std::optional<Address> cfa;
  std::function<std::optional<std::uint64_t>()> frame_base;
  /// The value that the operand expression of DW_OP_entry_value had on entry of the function.
  std::function<std::optional<std::uint64_t>(std::span<const std::byte>)> entry_value;
  /// The address of an offset in the module's thread-local block.
  std::function<std::optional<Address>(std::uint64_t)> thread_local_address;
  /// Initial stack, bottom first (CFI expressions get the CFA).
  std::vector<std::uint64_t> initial_stack;
};

/// A location description. `size` is the object's size (for the last piece; 0 unknown).
[[nodiscard]] VariableLocation evaluate_location(std::span<const std::byte> expression,
                                                 std::uint64_t size,
                                                 const ExpressionContext& context);

/// A plain value: what stands on top of the stack at the end (CFI expressions, frame bases,
/// call site values). DW_OP_reg* gives the register's content.
[[nodiscard]] std::optional<std::uint64_t> evaluate_value(std::span<const std::byte> expression,
                                                          const ExpressionContext& context);

}  // namespace culprit::binary
