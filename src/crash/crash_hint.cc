#include "crash/crash_hint.h"

#include <array>
#include <cstddef>

namespace culprit::crash {
namespace {

using enum HintStrength;

// In the order of the enumeration.
constexpr std::array kTraits{
    HintTraits{CrashHint::none, "none", "nothing is said about the cause", symptom},
    HintTraits{CrashHint::null_access, "null_access", "an address in the first page was accessed",
               symptom},
    HintTraits{CrashHint::invalid_access, "invalid_access",
               "an address was accessed that is not mapped that way", symptom},
    HintTraits{CrashHint::misaligned_access, "misaligned_access",
               "an address is not a multiple of its type's alignment", bug},
    HintTraits{CrashHint::use_after_free, "use_after_free", "a freed heap block was accessed", bug},
    HintTraits{CrashHint::use_after_return, "use_after_return",
               "a local of a function that has returned was accessed", bug},
    HintTraits{CrashHint::use_after_scope, "use_after_scope",
               "a local whose block has been left was accessed", bug},
    HintTraits{CrashHint::use_after_poison, "use_after_poison",
               "memory that the program itself had marked as not to be used", bug},
    HintTraits{CrashHint::heap_overflow, "heap_overflow", "an access past the end of a heap block",
               bug},
    HintTraits{CrashHint::heap_underflow, "heap_underflow",
               "an access before the beginning of a heap block", bug},
    HintTraits{CrashHint::stack_overflow, "stack_overflow", "an access past the end of a local",
               bug},
    HintTraits{CrashHint::stack_underflow, "stack_underflow",
               "an access before the beginning of a local", bug},
    HintTraits{CrashHint::global_overflow, "global_overflow",
               "an access outside of a global variable", bug},
    HintTraits{CrashHint::container_overflow, "container_overflow",
               "an access between a container's size and its capacity", bug},
    HintTraits{CrashHint::fortify_overflow, "fortify_overflow",
               "a C library function was about to write past its destination", bug},
    HintTraits{CrashHint::bounds, "bounds", "an index or a range was out of bounds", symptom},
    HintTraits{CrashHint::uninitialised, "uninitialised", "a value was used that was never written",
               bug},
    HintTraits{CrashHint::data_race, "data_race",
               "two threads accessed the same bytes without an order", bug},
    HintTraits{CrashHint::double_free, "double_free", "a block was freed that was free", bug},
    HintTraits{CrashHint::freed_or_damaged, "freed_or_damaged",
               "a block was freed twice or its header is damaged", damage},
    HintTraits{CrashHint::invalid_free, "invalid_free",
               "free() was given something that is not the start of a block", damage},
    HintTraits{CrashHint::mismatched_free, "mismatched_free",
               "a block was freed in another way than it was allocated", bug},
    HintTraits{CrashHint::heap_metadata, "heap_metadata", "the allocator's own data are damaged",
               damage},
    HintTraits{CrashHint::bad_allocation, "bad_allocation",
               "a size that cannot be allocated was asked for", symptom},
    HintTraits{CrashHint::stack_canary, "stack_canary",
               "the canary of a stack frame was overwritten", damage},
    HintTraits{CrashHint::stack_exhausted, "stack_exhausted", "the stack ran out", symptom},
    HintTraits{CrashHint::integer_overflow, "integer_overflow", "a result does not fit its type",
               bug},
    HintTraits{CrashHint::division_by_zero, "division_by_zero", "an integer was divided by zero",
               bug},
    HintTraits{CrashHint::invalid_shift, "invalid_shift",
               "a shift by a negative or too large count", bug},
    HintTraits{CrashHint::invalid_value, "invalid_value", "bytes that no value of the type has",
               damage},
    HintTraits{CrashHint::type_confusion, "type_confusion",
               "an object or a function is of another type than the code expects", damage},
    HintTraits{CrashHint::pure_virtual_call, "pure_virtual_call",
               "a virtual function without a body was called", bug},
    HintTraits{CrashHint::bad_argument, "bad_argument",
               "a library function was given what its contract forbids", symptom},
    HintTraits{CrashHint::invalid_iterator, "invalid_iterator",
               "an iterator is not valid for what was done with it", symptom},
    HintTraits{CrashHint::unreachable_code, "unreachable_code",
               "code was reached that must not run", symptom},
    HintTraits{CrashHint::assertion, "assertion", "an assertion failed", symptom},
    HintTraits{CrashHint::unhandled_exception, "unhandled_exception", "an exception was not caught",
               symptom},
    HintTraits{CrashHint::terminate, "terminate", "std::terminate was called", symptom},
    HintTraits{CrashHint::panic, "panic", "the program panicked", symptom},
    HintTraits{CrashHint::missing_value, "missing_value", "a value was taken from what holds none",
               symptom},
    HintTraits{CrashHint::lock_misuse, "lock_misuse", "a lock was used wrongly", bug},
    HintTraits{CrashHint::fatal_error, "fatal_error", "the runtime gave up", symptom},
    HintTraits{CrashHint::gc_bad_pointer, "gc_bad_pointer",
               "a pointer slot holds what is not a pointer to an object", damage},
    HintTraits{CrashHint::gc_freed_object, "gc_freed_object",
               "a pointer to an object that the collector has freed", damage},
    HintTraits{CrashHint::arithmetic_trap, "arithmetic_trap", "an arithmetic instruction trapped",
               symptom},
    HintTraits{CrashHint::illegal_instruction, "illegal_instruction",
               "an illegal instruction was executed", symptom},
    HintTraits{CrashHint::trap, "trap", "a trap instruction was executed", symptom},
    HintTraits{CrashHint::abort, "abort", "the program aborted without a word", symptom},
};

consteval bool in_order() {
  for (std::size_t i = 0; i < kTraits.size(); ++i) {
    if (static_cast<std::size_t>(kTraits[i].hint) != i) return false;
  }
  return true;
}
static_assert(in_order());
static_assert(kTraits.size() == static_cast<std::size_t>(CrashHint::abort) + 1);

}  // namespace

const HintTraits& traits(CrashHint hint) {
  const auto index = static_cast<std::size_t>(hint);
  return kTraits[index < kTraits.size() ? index : 0];
}

}  // namespace culprit::crash
