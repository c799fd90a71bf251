// The closed list of bug classes: what a verdict may say.
//
// The list lives beside the report model, because both the rules (verdict/) and the formats
// (report/) need it, and report/ must not know the rules.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "report/enum_names.h"

namespace culprit::report {

/// What kind of bug made the bad value. The ids (to_string) are part of the report format.
enum class BugClass : std::uint8_t {
  unknown,  ///< the chain does not say

  // Values older than the object that holds them.
  uninitialised_stack,
  uninitialised_heap,
  uninitialised_memory,
  partly_initialised,

  // Values that outlive their object.
  use_after_free,
  use_after_scope,
  use_after_return,
  use_after_destroy,
  use_after_unmap,
  use_after_realloc,
  iterator_invalidated,
  coroutine_use_after_destroy,
  dead_thread_stack,
  longjmp_over_object,
  double_free,
  invalid_free,

  // Stores meant for another object.
  heap_overflow,
  heap_underflow,
  stack_buffer_overflow,
  global_overflow,
  off_by_one,
  wild_write,
  vtable_overwritten,

  // Right place, wrong value.
  null_dereference,
  null_from_failed_lookup,
  null_from_failed_allocation,
  integer_overflow,
  sign_error,
  index_out_of_range,
  type_confusion,
  varargs_mismatch,
  bad_comparator,
  bad_constant,
  static_initialisation_order,
  stack_exhaustion,

  // Two parties.
  data_race,
  aba,
  signal_handler_write,

  // From outside the program.
  bad_input,
  bad_argument,
  foreign_write,
  replaced_page,
  kernel_or_hardware_suspect,

  // Rules of a managed runtime that were broken.
  go_unsafe_pointer,
  stale_registration,
  gc_missed_reference,

  // The program stopped itself.
  deliberate_abort,
};

/// What every format says about a class, whatever the crash.
struct BugClassInfo {
  BugClass id = BugClass::unknown;
  std::string_view name;   ///< the id in reports: snake_case
  std::string_view title;  ///< one line, no full stop, no variable parts
  std::string_view fix;    ///< a default sentence for Verdict::suggested_fix
};

/// All classes, in the order of the enumeration.
[[nodiscard]] std::span<const BugClassInfo> bug_classes();

/// The entry of `id`; that of BugClass::unknown for a number that is no enumerator.
[[nodiscard]] const BugClassInfo& info(BugClass id);

template <>
std::span<const EnumName<BugClass>> enum_names<BugClass>();

}  // namespace culprit::report
