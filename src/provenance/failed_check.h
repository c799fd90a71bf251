// A program that stopped itself because a check of its own failed: who stopped it, and in whose
// code the check is. Assertions, uncaught exceptions of checks, panics, traps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/memory.h"
#include "base/registers.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"

namespace culprit::provenance {

/// What a checked value is for.
enum class CheckedAs : std::uint8_t {
  value,          ///< anything
  index,          ///< of a container
  size,           ///< of a block or container, in bytes or elements
  virtual_table,  ///< of an object whose function is no more, or not yet, there
};

/// A function that a failed check ends in, which is handed the value that it refuses.
struct RefusedArgument {
  Gpr value = Gpr::rdi;      ///< the register of the refused value, at the call
  std::optional<Gpr> bound;  ///< of what it was compared with
  CheckedAs as = CheckedAs::value;
};

/// True for a function that a program runs through when it stops itself: abort and what it calls,
/// the functions that assertions, exceptions and panics end in. `linkage` is the symbol table's
/// name.
[[nodiscard]] bool stops_the_program(std::string_view linkage);

/// True for what stands in a virtual table in the place of a function that is not there. The
/// compiler put it there: what is wrong is the object's pointer to that table.
[[nodiscard]] bool is_missing_virtual(std::string_view linkage);

/// Source of the arguments: the functions' declarations in Rust's core (panicking.rs,
/// slice/index.rs), libstdc++ and glibc (debug/*_chk.c). Nothing for functions that get words only.
[[nodiscard]] std::optional<RefusedArgument> refused_argument(std::string_view linkage);

/// What a function that stops the program complains about, by its name.
[[nodiscard]] CheckedAs checked_as(std::string_view linkage);

/// Where a program that stopped itself was when it decided to.
struct FailedCheck {
  std::size_t frame = 0;  ///< of the moment: the innermost one that is the program's own
  Address failing;        ///< in it: the call that stopped the program, or the trap
  std::string function;   ///< what it called, as linked; empty for a trap
};

/// Looks at the stack of a stopped crash: nothing if the innermost frames are no failure's. `trap`:
/// the instruction that the thread was stopped by, if it is made for that (ud2, int3). `memory`
/// must be the moment's.
[[nodiscard]] std::optional<FailedCheck> find_failed_check(const ProcessImage& image,
                                                           const Moment& moment,
                                                           std::optional<Address> trap,
                                                           const MemoryReader& memory);

}  // namespace culprit::provenance
