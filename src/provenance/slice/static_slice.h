// A backward slice without any execution: along the only way that control can have come.
//
// From the given instruction back while each instruction has exactly one predecessor (straight-line
// code, branches not taken, blocks with a single jump to them), following copies.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/registers.h"
#include "base/result.h"
#include "base/types.h"
#include "provenance/slice/slice_path.h"
#include "x86/instruction.h"

namespace culprit::provenance {

/// Which registers a call preserves.
enum class CallConvention : std::uint8_t {
  system_v,     ///< rbx, rbp, rsp, r12–r15 survive (System V x86-64 psABI 1.0, figure 3.4)
  go_internal,  ///< none but rsp survives, r14 (g) and x15 (zero) are restored by convention
                ///< (Go's src/cmd/compile/abi-internal.md, "amd64 architecture")
};

/// The bytes that the end instruction itself stores, through Instruction::memory[operand].
struct StoredBytes {
  std::size_t operand = 0;
  std::uint32_t offset = 0;
  std::uint32_t size = 8;
};

/// A question to slice_static().
struct StaticQuery {
  std::span<const std::byte> code;  ///< the whole function
  Address function;                 ///< the address of code[0]
  Address instruction;              ///< where the slice ends
  /// true: the moment just after `instruction` (which is part of the slice), as at a watchpoint
  /// hit. false: the moment just before it (it is not part of the slice), as at a fault.
  bool after = true;
  std::variant<x86::RegisterBytes, ByteRange, StoredBytes>
      asked;                     ///< StoredBytes needs after == true
  Registers registers;           ///< at that moment
  std::uint16_t known = 0xffff;  ///< bit r: registers.gpr[r] holds (unwound frames know few)
  CallConvention convention = CallConvention::system_v;
  /// Bit r: the function that a direct call leads to keeps register r, whatever the convention
  /// says. May be empty.
  std::function<std::uint16_t(Address target)> kept_by;
};

/// Where a piece of the asked bytes ends.
enum class StaticEnd : std::uint8_t {
  load,       ///< loaded from memory at `pc`: `address` if it could be recovered
  immediate,  ///< `constant`
  zero,
  address,         ///< lea and the like; see inputs
  arithmetic,      ///< see inputs
  select,          ///< cmov and the like: one of the inputs
  live_in,         ///< held by `place` when control came to `pc`, which has several predecessors
  argument,        ///< held by `place` at the function's entry
  call_result,     ///< rax/rdx (or any register in Go) set by the call at `pc`
  call_clobbered,  ///< the call at `pc` may have changed the register, and it is no result
  memory_at_end,   ///< the asked memory itself: no store to it found on the way back to `pc`
  system_call,     ///< the kernel set it
  unknown,         ///< the instruction at `pc` is not modelled; see inputs
};
const char* to_string(StaticEnd end);

/// One run of the asked bytes with one end.
struct StaticPiece {
  std::uint32_t offset = 0;  ///< within the asked bytes
  std::uint32_t size = 0;
  StaticEnd end = StaticEnd::unknown;
  Address pc;                              ///< of the instruction (live_in, argument: the leader)
  std::optional<Address> address;          ///< load, memory_at_end: exact address of these bytes
  std::optional<x86::MemOperand> operand;  ///< load: the whole operand; before it executes
  std::uint32_t operand_offset = 0;        ///< load: where in the operand these bytes are
  std::optional<Place> place;              ///< live_in, argument, call_*: which register bytes
  std::optional<std::uint64_t> constant;   ///< immediate; the second operand of arithmetic
  std::vector<x86::FlowPlace> inputs;      ///< address, arithmetic, select, unknown: at `pc`
  std::vector<std::optional<Address>>
      input_addresses;  ///< parallel to inputs: memory ones, if recovered
  Certainty certainty = Certainty::likely;
  std::vector<PathStep> path;  ///< newest first; the instruction at `pc` is the last
  std::string note;            ///< why only likely, or why it stopped
};

/// The answer: pieces in order of offset, covering all asked bytes.
struct StaticSlice {
  std::vector<StaticPiece> pieces;
  bool indirect_jumps = false;  ///< the function has jump tables: nothing is more than likely
};

/// Errors: bad_input if `instruction` is not on the function's instruction grid, the asked bytes
/// are none or more than 64, or the function is larger than 4 MiB.
Result<StaticSlice> slice_static(const StaticQuery& query);

}  // namespace culprit::provenance
