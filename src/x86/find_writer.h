// From a data-watch trap back to the instruction that wrote.
//
// A data breakpoint on x86 is a trap: it is reported after the store, with rip past it (Intel SDM
// vol. 3B, debug chapter, data breakpoints); inside a rep-prefixed string instruction rip is still
// at it.
#pragma once

#include <optional>
#include <vector>

#include "base/memory.h"
#include "base/registers.h"
#include "base/types.h"
#include "x86/instruction.h"

namespace culprit::x86 {

/// How much a writer candidate is worth.
enum class WriterConfidence : std::uint8_t {
  proved,  ///< on the function's instruction grid, and its operand covers watched bytes
  likely,  ///< one of the two could not be checked (see the note)
  guess,   ///< fits in length only: neither the grid nor the operand could be checked
};

/// One instruction that may have made the store.
struct WriterCandidate {
  Instruction instruction;
  std::size_t operand = 0;           ///< index into instruction.memory of the store
  std::optional<ByteRange> written;  ///< what it stored to, where its address could be recovered
  WriterConfidence confidence = WriterConfidence::guess;
  const char* note = "";  ///< why not proved, for reports
};

/// The instructions that can have stored into `watched` and then stopped with `after`
/// (after.rip = pc past the store, or at a rep), best first; empty if none fits.
/// `memory`: code, and, as far as known, the stack after the store (to find the call instruction
/// that pushed a return address). `function_start`: a known instruction boundary at or before rip
/// in the same function, if there is one; distances over 1 MiB are not decoded.
std::vector<WriterCandidate> find_writer_before(const MemoryReader& memory,
                                                std::optional<Address> function_start,
                                                const Registers& after, ByteRange watched);

/// What can be said about the registers before `instruction`, given those after it: exact for all
/// it does not write and for steps that can be undone (push, pop, call, string pointers,
/// add/sub/inc/dec of a constant, lea of itself); bit r of `known` says that gpr[r] is.
struct RegistersBefore {
  Registers registers;
  std::uint16_t known = 0;
};
RegistersBefore registers_before(const Instruction& instruction, const Registers& after);

}  // namespace culprit::x86
