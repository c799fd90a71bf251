// What the next instruction of a task is, as far as exact ticks care.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace culprit::agent {

/// Kinds of instructions that a single-step has to treat in a way of their own.
enum class SteppedKind : std::uint8_t {
  other,
  conditional_branch,  ///< Jcc, LOOPcc, JrCXZ: what rr's ticks count, taken or not
  system_call,         ///< syscall, sysenter, int 0x80: not stepped over blindly, it may block
  push_flags,          ///< pushf: stores the trap flag that the step itself has set
  breakpoint,          ///< int3
};

/// The longest x86 instruction (Intel SDM vol. 2, 2.3.11).
inline constexpr std::size_t max_instruction = 15;

/// Classifies the 64-bit instruction at the front of `bytes` by its prefixes and opcode (Intel SDM
/// vol. 2, 2.1 and appendix A). Bytes that end too early are `other`.
SteppedKind stepped_kind(std::span<const std::uint8_t> bytes);

}  // namespace culprit::agent
