// What the words of a crash report say about the bug: the vocabulary between the front ends, which
// know the words, and the rules that give a verdict, which know the chain.
#pragma once

#include <cstdint>
#include <string_view>

namespace culprit::crash {

/// What a report claims. A claim is about what was *noticed*; HintTraits::strength says how much of
/// the bug that is.
enum class CrashHint : std::uint8_t {
  none,  ///< nothing that a rule could use
  // Bad accesses.
  null_access,         ///< an address in the first page was accessed
  invalid_access,      ///< an address was accessed that is not mapped, or not that way
  misaligned_access,   ///< an address that is not a multiple of its type's alignment
  use_after_free,      ///< a freed heap block was accessed
  use_after_return,    ///< a local of a function that has returned was accessed
  use_after_scope,     ///< a local whose block has been left was accessed
  use_after_poison,    ///< memory that the program itself had marked as not to be used
  heap_overflow,       ///< an access past the end of a heap block
  heap_underflow,      ///< an access before the beginning of a heap block
  stack_overflow,      ///< an access past the end of a local
  stack_underflow,     ///< an access before the beginning of a local
  global_overflow,     ///< an access past (or before) a global
  container_overflow,  ///< an access between a container's size and its capacity
  fortify_overflow,    ///< a C library function was about to write past its destination
  bounds,              ///< a checked index, range or length was out of bounds
  uninitialised,       ///< a value was used that was never written
  data_race,           ///< two threads accessed the same bytes without an order
  // The allocator.
  double_free,       ///< a block was freed that was free
  freed_or_damaged,  ///< a block that was given to free() looks free: freed twice, or its header or
                     ///< a neighbour's was overwritten
  invalid_free,     ///< free() was given something that is not the start of a block
  mismatched_free,  ///< freed by another family of functions, or with another size, than allocated
  heap_metadata,    ///< the allocator's own data (sizes, lists, headers) are damaged
  bad_allocation,   ///< a size that cannot be allocated, or no memory left
  // The stack.
  stack_canary,     ///< the canary of a frame was overwritten
  stack_exhausted,  ///< the stack ran out
  // Values and types.
  integer_overflow,   ///< arithmetic or a conversion whose result does not fit
  division_by_zero,   ///< of integers
  invalid_shift,      ///< a shift by a negative or too large count
  invalid_value,      ///< a bool or an enumeration with bytes that no value has
  type_confusion,     ///< an object, a vtable or a function of another type than the code expects
  pure_virtual_call,  ///< a virtual function without a body: object under construction or dead
  bad_argument,       ///< a library function was given what its contract forbids
  invalid_iterator,   ///< a container's iterator that is singular, past the end, or of another one
  unreachable_code,   ///< code that must not run, or a function that ended without its value
  // The program's own words.
  assertion,            ///< an assertion of the program or of a library
  unhandled_exception,  ///< nobody caught it
  terminate,            ///< std::terminate without an exception, or recursive initialisation
  panic,                ///< a panic with words of the program's own
  missing_value,        ///< unwrap or expect of None, Err, an empty optional
  lock_misuse,          ///< a lock order that can deadlock, an unlock of what is not locked, …
  fatal_error,          ///< a runtime gave up for a reason that is not in this list
  // Go's collector.
  gc_bad_pointer,   ///< a pointer-typed slot holds what is not a pointer to an object
  gc_freed_object,  ///< a pointer to an object that the collector has freed
  // Nothing but the signal.
  arithmetic_trap,      ///< SIGFPE
  illegal_instruction,  ///< SIGILL
  trap,                 ///< SIGTRAP
  abort,                ///< SIGABRT without words
};

/// How much of the bug a hint is.
enum class HintStrength : std::uint8_t {
  symptom,  ///< only how it ended: many bugs end like that (a null access, an abort)
  damage,   ///< what was damaged, not by whom: the bug is earlier (heap metadata, a canary)
  bug,      ///< the wrong operation itself was observed (a sanitizer's use after free)
};

/// What is known of a hint.
struct HintTraits {
  CrashHint hint;
  std::string_view name;    ///< for machines: "use_after_free"
  std::string_view phrase;  ///< for people, without an end: "a freed heap block was accessed"
  HintStrength strength;
};

/// Never fails: every hint has an entry.
[[nodiscard]] const HintTraits& traits(CrashHint hint);

}  // namespace culprit::crash
