// Private to verdict/: the rules. Each looks at a report, fills its verdict if it applies, and says so.
#pragma once

#include "report/model.h"

namespace culprit::verdict {

// Whose memory it was (object_rules.cc).

/// A stack slot that was read although nothing wrote it in the life of its frame.
bool uninitialised_stack(report::Report& report);
/// A heap slot that was read although nothing wrote it since its block was allocated.
bool uninitialised_heap(report::Report& report);
/// A slot read through a pointer into a stack frame that had ended before.
bool dangling_stack_pointer(report::Report& report);
/// A pointer to a local whose scope had ended, into a frame that lives on.
bool outlived_scope(report::Report& report);
/// A block that a garbage collector gave up while it was in use.
bool collected_in_use(report::Report& report);
/// A block that was freed before it was freed, read or written.
bool released_before(report::Report& report);
/// A store that was meant for another object.
bool out_of_bounds(report::Report& report);
/// An object's vtable pointer was overwritten by a store meant for the object.
bool vtable_overwritten(report::Report& report);
/// The pointer that was to be freed is no block.
bool freed_what_is_no_block(report::Report& report);
/// Memory that was unmapped while a pointer to it was in use.
bool unmapped(report::Report& report);
/// The thread's stack is used up.
bool stack_exhausted(report::Report& report);
/// The stack protector's canary was overwritten, by a store whose own object is not known.
bool smashed_stack(report::Report& report);

/// A number that a variadic function was given where it took a pointer (argument_rules.cc).
bool mismatched_argument(report::Report& report);

// Pointers that are kept in another form (packed_rules.cc).

/// A pointer that is kept XOR-ed was taken out with another constant than it was put in with.
bool unpacked_with_other_constant(report::Report& report);
/// A pointer that was cut to fewer bits than it has.
bool lost_upper_bits(report::Report& report);
/// A pointer with a tag in its upper bits was used as it was.
bool used_with_tag(report::Report& report);

/// Where an object was used after its end: says more, if the hops do. Called behind the rules (refine.cc).
void refine_stale_use(report::Report& report);
/// The same for a store out of a block whose size had wrapped.
void refine_overflow(report::Report& report);

// What the value is (value_rules.cc).

/// Bytes that a signal handler wrote.
bool from_signal_handler(report::Report& report);
/// The value was in other memory, or another process, before a system call put it in place of what
/// the program had stored there.
bool stale_page(report::Report& report);
/// The bytes changed, and nothing in the trace did it.
bool unexplained(report::Report& report);
/// The chain ends outside the program: a system call's input.
bool from_kernel(report::Report& report);
/// The value came through a pipe or a socket from another recorded process.
bool from_other_process(report::Report& report);
/// The chain ends in the arguments or the environment.
bool from_command_line(report::Report& report);
/// No store made the value: its page was replaced.
bool replaced(report::Report& report);
/// A value that a check of the program's own refused (check_rules.cc).
bool refused_by_check(report::Report& report);
/// An index that leads out of its array.
bool bad_index(report::Report& report);
/// A null that another thread stored where this one read.
bool raced(report::Report& report);
/// The value is the size or the like that malloc keeps in front of a block: the reader had left its own.
bool read_block_header(report::Report& report);
/// A null pointer that some code stored, returned or passed.
bool null_dereference(report::Report& report);
/// A Go map that two goroutines used at once (go_rules.cc).
bool shared_go_map(report::Report& report);
/// A pointer that Go's rules for unsafe.Pointer do not allow, or a number used as one (go_rules.cc).
bool unsafe_pointer_in_go(report::Report& report);
/// A pointer that was stored as a number of another type.
bool confused_types(report::Report& report);
/// A pointer that was made for an object of another class.
bool confused_pointer(report::Report& report);
/// A constant that is used as a pointer, other than null.
bool constant(report::Report& report);
/// A comparison inside a sort was given what is no element of its range.
bool ran_out_of_sort(report::Report& report);
/// A value that two stores of parts made up, without a better explanation.
bool composed(report::Report& report);
/// The crash text itself names the kind of bug, and the chain does not say more.
bool stated(report::Report& report);
/// Nothing better is known: says where the chain ends.
bool open_end(report::Report& report);

}  // namespace culprit::verdict
