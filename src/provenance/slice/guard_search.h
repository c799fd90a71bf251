// Which condition made a function run into a call that does not return: the branch that decided,
// and the instruction whose result it looked at.
//
// A program that checks itself compiles to a compare, a conditional jump, and on one of its two
// sides nothing but the way to the failure. So the deciding branches are those of which one side
// must reach the failing instruction and the other need not: control dependence, seen from one
// instruction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/registers.h"
#include "base/result.h"
#include "base/types.h"

namespace culprit::provenance {

/// Contiguous code of a function: the whole of it, or its hot or cold part.
struct CodePart {
  Address start;
  std::span<const std::byte> bytes;
};

/// How a deciding branch compares what its test looked at.
enum class Relation : std::uint8_t {
  equality,        ///< equal, not equal, zero
  unsigned_order,  ///< above, below, and their negations
  signed_order,    ///< greater, less, and their negations
  sign,            ///< negative or not
  other,           ///< overflow, parity
};
const char* to_string(Relation relation);

/// A branch that decided, and what it decided by.
struct Guard {
  Address branch;  ///< the conditional jump
  /// The instruction that set the flags: a compare, a test, a subtraction. Where the condition was
  /// made a boolean on the way (setcc, movzx, an inversion), it is the one that the boolean was
  /// made of.
  Address test;
  Relation relation = Relation::other;
  bool operator==(const Guard&) const = default;
};

/// All deciding branches of an instruction.
struct GuardSearch {
  std::vector<Guard> guards;  ///< by address; those whose test could not be found are left out
  bool always = false;  ///< the function comes there whenever it is entered: its caller decided
};

/// `parts` hold the function's instructions; one of them holds `failing`, the failing call or trap.
/// `entry` is the function's. Calls are taken to return. Errors: bad_input if no part holds
/// `failing` on the instruction grid that begins at the part's first byte, or the parts are larger
/// than 4 MiB.
Result<GuardSearch> find_guards(std::span<const CodePart> parts, Address entry, Address failing);

/// The load of a call's target: the instruction that read it from memory, and the register that it
/// read through. That is the call itself where it has a memory operand.
struct TargetLoad {
  Address at;
  Gpr base = Gpr::rax;
};

/// Nothing if the way from the load to `call`, an indirect call in `part`, is not straight. Errors:
/// bad_input as above.
Result<std::optional<TargetLoad>> find_target_load(const CodePart& part, Address call);

}  // namespace culprit::provenance
