#include "report/bug_class.h"

#include <array>

namespace culprit::report {
namespace {

// In the order of the enumeration: info() indexes it.
constexpr std::array<BugClassInfo, 48> kClasses{{
    {BugClass::unknown, "unknown", "Cause unknown",
     "Look at the last hop of the chain; the report says why it goes no further."},
    {BugClass::uninitialised_stack, "uninitialised_stack", "Uninitialised stack variable",
     "Initialise the variable where it is declared, before anything can read it."},
    {BugClass::uninitialised_heap, "uninitialised_heap", "Uninitialised heap memory",
     "Initialise the block right after it is allocated, for example with calloc or a constructor."},
    {BugClass::uninitialised_memory, "uninitialised_memory", "Uninitialised memory",
     "Initialise the memory before it is first read."},
    {BugClass::partly_initialised, "partly_initialised", "Partly initialised object",
     "Initialise every member; zero the whole object first."},
    {BugClass::use_after_free, "use_after_free", "Use after free",
     "Keep the block alive as long as a pointer to it is used, or clear the pointer when the block "
     "is freed."},
    {BugClass::use_after_scope, "use_after_scope", "Use of a variable after its scope ended",
     "Declare the variable in a scope that covers every use of its address."},
    {BugClass::use_after_return, "use_after_return",
     "Use of a local variable after its function returned",
     "Return the object by value, or give it a longer life than the function's frame."},
    {BugClass::use_after_destroy, "use_after_destroy", "Use of an object after its destruction",
     "Destroy the object only after its last use, and clear the pointers to it."},
    {BugClass::use_after_unmap, "use_after_unmap", "Use of memory after it was unmapped",
     "Unmap the memory only after its last use."},
    {BugClass::use_after_realloc, "use_after_realloc",
     "Use of a pointer into a block that was moved",
     "Take the pointer again after each reallocation, or keep an index instead."},
    {BugClass::iterator_invalidated, "iterator_invalidated",
     "Use of an invalidated iterator, reference or view",
     "Take the iterator or reference again after the container has changed."},
    {BugClass::coroutine_use_after_destroy, "coroutine_use_after_destroy",
     "Use of a coroutine frame after its destruction",
     "Resume or read the coroutine only while its handle is owned and not destroyed."},
    {BugClass::dead_thread_stack, "dead_thread_stack", "Pointer to the stack of a finished thread",
     "Do not hand out addresses of a thread's locals beyond the thread's life; join first or "
     "allocate."},
    {BugClass::longjmp_over_object, "longjmp_over_object", "Object skipped by longjmp",
     "Do not jump over live objects; make locals that change between setjmp and longjmp volatile."},
    {BugClass::double_free, "double_free", "Double free",
     "Free the block once; clear the pointer after freeing it."},
    {BugClass::invalid_free, "invalid_free", "Free of memory that was not allocated",
     "Free only what the same allocator returned, from its first byte."},
    {BugClass::heap_overflow, "heap_overflow", "Heap buffer overflow",
     "Check the length against the size of the block before writing."},
    {BugClass::heap_underflow, "heap_underflow", "Heap buffer underflow",
     "Check the index for values below zero before writing."},
    {BugClass::stack_buffer_overflow, "stack_buffer_overflow", "Stack buffer overflow",
     "Check the length against the size of the array before writing."},
    {BugClass::global_overflow, "global_overflow", "Overflow of a global variable",
     "Check the index against the size of the array before writing."},
    {BugClass::off_by_one, "off_by_one", "Off-by-one write",
     "Correct the bound by one; the last valid index is the size minus one."},
    {BugClass::wild_write, "wild_write", "Write through a corrupted pointer",
     "Follow the chain of the pointer that was written through: it is the first bad value."},
    {BugClass::vtable_overwritten, "vtable_overwritten", "Overwritten vtable pointer",
     "Find the store meant for another object, or the use after destruction, that the chain "
     "names."},
    {BugClass::null_dereference, "null_dereference", "Null dereference",
     "Check the pointer where it is obtained, before it is used."},
    {BugClass::null_from_failed_lookup, "null_from_failed_lookup", "Null from a failed lookup",
     "Handle the not-found result of the lookup before using it."},
    {BugClass::null_from_failed_allocation, "null_from_failed_allocation",
     "Null from a failed allocation", "Check the result of the allocation before using it."},
    {BugClass::integer_overflow, "integer_overflow", "Integer overflow",
     "Check the operands before the computation, or use a wider type."},
    {BugClass::sign_error, "sign_error", "Negative value used as a size or an index",
     "Check for negative values before converting to an unsigned type."},
    {BugClass::index_out_of_range, "index_out_of_range", "Index out of range",
     "Check the index where it is computed."},
    {BugClass::type_confusion, "type_confusion", "Object used as another type",
     "Check the object's kind before the cast, or use the type that was stored."},
    {BugClass::varargs_mismatch, "varargs_mismatch",
     "Arguments that do not match the format or the callee",
     "Make the arguments' types agree with what the callee reads; enable -Wformat."},
    {BugClass::bad_comparator, "bad_comparator", "Inconsistent comparison function",
     "Make the comparison a strict weak ordering."},
    {BugClass::bad_constant, "bad_constant", "Wrong constant in the code",
     "Correct the constant at the line that the chain ends at."},
    {BugClass::static_initialisation_order, "static_initialisation_order",
     "Static object used before its initialisation",
     "Make the object a function-local static, or initialise it at compile time."},
    {BugClass::stack_exhaustion, "stack_exhaustion", "Stack exhausted",
     "Bound the recursion, or move large locals to the heap."},
    {BugClass::data_race, "data_race", "Data race",
     "Protect both accesses with one lock, or order them with atomics."},
    {BugClass::aba, "aba", "ABA problem of a lock-free structure",
     "Use a tagged pointer, hazard pointers or an epoch scheme."},
    {BugClass::signal_handler_write, "signal_handler_write", "Written by a signal handler",
     "Touch only volatile sig_atomic_t or lock-free atomics in the handler, or block the signal "
     "here."},
    {BugClass::bad_input, "bad_input", "Bad value from the program's input",
     "Validate the value right after it is read."},
    {BugClass::bad_argument, "bad_argument", "Bad value from the command line or the environment",
     "Validate the argument before using it."},
    {BugClass::foreign_write, "foreign_write", "Written by another process",
     "Find out why the other process writes here; the hop names it."},
    {BugClass::replaced_page, "replaced_page",
     "Stale or replaced page: no store of this process wrote this value",
     "Order the mapping change with the accesses to the page, or use another range for it."},
    {BugClass::kernel_or_hardware_suspect, "kernel_or_hardware_suspect",
     "No event in the trace explains the value",
     "Repeat the recording; if it stays unexplained, suspect the kernel or the hardware."},
    {BugClass::go_unsafe_pointer, "go_unsafe_pointer", "Go pointer rules broken by unsafe or cgo",
     "Keep Go pointers in pointer types, pin what C keeps, and zero C memory before Go stores "
     "pointers in it."},
    {BugClass::stale_registration, "stale_registration",
     "Registration that outlives the memory it describes",
     "Withdraw the registration before the memory is released."},
    {BugClass::gc_missed_reference, "gc_missed_reference",
     "Live object collected: the collector did not see its reference",
     "Keep the reference where the collector looks for it: a root, a typed pointer, a registered "
     "location."},
    {BugClass::deliberate_abort, "deliberate_abort", "The program stopped itself",
     "Read its message; the chain shows where the value that it complains about came from."},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kClasses.size(); ++i) {
    if (static_cast<std::size_t>(kClasses[i].id) != i) return false;
  }
  return true;
}
static_assert(in_order());

constexpr auto kNames = [] {
  std::array<EnumName<BugClass>, kClasses.size()> names{};
  for (std::size_t i = 0; i < kClasses.size(); ++i) names[i] = {kClasses[i].id, kClasses[i].name};
  return names;
}();

}  // namespace

std::span<const BugClassInfo> bug_classes() { return kClasses; }

const BugClassInfo& info(BugClass id) {
  const auto index = static_cast<std::size_t>(id);
  return index < kClasses.size() ? kClasses[index] : kClasses[0];
}

template <>
std::span<const EnumName<BugClass>> enum_names<BugClass>() {
  return kNames;
}

}  // namespace culprit::report
