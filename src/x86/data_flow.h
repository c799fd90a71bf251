// Which bytes an instruction writes, and where each of them comes from.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "x86/instruction.h"
#include "x86/places.h"

namespace culprit::x86 {

/// How destination bytes follow from source bytes.
enum class FlowKind : std::uint8_t {
  copy,         ///< one source of the same size; destination byte i is source byte i
  immediate,    ///< a constant in the instruction (Flow::constant, little endian)
  zero,         ///< zero, whatever the inputs hold (xor r,r; zero-extension; vzeroupper)
  address,      ///< lea and other pointer steps; sources[0] is the base register if there is one
  arithmetic,   ///< computed from the sources (and Flow::constant if it is set)
  select,       ///< exactly one of the sources, which one depends on state not given (cmov without
                ///< rflags)
  system_call,  ///< made by the kernel
  unknown,      ///< not modelled; sources are all inputs of the instruction
};

/// "copy", "immediate", ...
const char* to_string(FlowKind kind);

/// Bytes [offset, offset + size) of the access Instruction::memory[operand].
struct MemoryBytes {
  std::uint8_t operand = 0;
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  constexpr auto operator<=>(const MemoryBytes&) const = default;
};

using FlowPlace = std::variant<RegisterBytes, MemoryBytes>;

/// The size of a place in bytes.
std::uint32_t size_of(const FlowPlace& place);

/// One contiguous run of written bytes with one explanation.
struct DataFlowEdge {
  FlowPlace destination;
  FlowKind kind = FlowKind::unknown;
  std::vector<FlowPlace> sources;  ///< values before the instruction, immediates not among them
  /// immediate: the value of the destination bytes. linear: the addend. arithmetic: the immediate
  /// operand, if there is one. address without sources: the address itself.
  std::optional<std::uint64_t> constant;
  /// Not 0: exactly destination = sources[0] + sources[1] * scale (if there is one) + constant (if
  /// set), modulo 2^64; all of them 8-byte registers. Kinds address and arithmetic only.
  std::uint8_t linear_scale = 0;
};

/// Everything one execution of an instruction writes. Each written byte (rip excepted) is in
/// exactly one edge's destination; bytes that keep their value (a cmov not taken) are in none.
struct DataFlow {
  std::vector<DataFlowEdge> edges;
  bool modelled = true;               ///< false: some edges are `unknown`
  bool depends_on_registers = false;  ///< another `before` may give other edges
};

/// The data flow of one execution, or one iteration of a rep-prefixed string instruction.
/// `before`, `after`: the registers around it, each may be null. They decide cmov (before) and
/// cmpxchg (after: ZF tells whether it stored); without them those become `select`. Without
/// `before` a rep is taken to run an unknown number of times: its memory edge, or the accumulator
/// of lods, is `unknown`, and the memory edge has size 0.
DataFlow data_flow(const Instruction& instruction, const Registers* before,
                   const Registers* after = nullptr);

}  // namespace culprit::x86
