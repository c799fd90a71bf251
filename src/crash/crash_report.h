// What a failed program said about its own crash: plain data, made from its output and from how it
// ended. Front ends (front_end.h) fill it; nothing here touches the recording.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "crash/crash_hint.h"

namespace culprit::crash {

/// How the program ended, as the kernel told it. All members may be unknown.
struct ExitInfo {
  std::optional<int> signal;             ///< that killed it
  std::optional<int> signal_code;        ///< si_code of that signal
  std::optional<Address> fault_address;  ///< si_addr, for SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP
  std::optional<Address> pc;             ///< the instruction that was at fault
  std::optional<int> exit_status;        ///< if it ended by itself
};

/// What kind of crash a report tells of. The names (to_string) appear in reports as `crash.kind`.
enum class Kind : std::uint8_t {
  user_named,             ///< the user gave a pointer or an address
  go_bad_pointer,         ///< GC or write barrier: pointer to a free or unused part of a span
  go_marked_free_object,  ///< sweeper: an object that is free was marked
  go_bad_stack_pointer,   ///< stack copy: "invalid pointer found on stack"
  go_checkptr,            ///< "checkptr: …"
  go_cgo_check,           ///< a Go pointer was stored into C memory (GOEXPERIMENT=cgocheck2)
  go_signal_panic,        ///< "panic: runtime error: … [signal SIGSEGV …]"
  go_unexpected_fault,    ///< "unexpected fault address 0x…"
  go_unexpected_signal,   ///< "unexpected signal during runtime execution", or "SIGSEGV: …" in C
                          ///< code
  go_concurrent_map,      ///< "concurrent map writes", "… read and map write", "… iteration and …"
  go_unexpected_return,   ///< "unexpected return pc for F called from 0x…"
  go_fatal_error,         ///< any other "fatal error: …"
  go_panic,               ///< any other panic
  heap_check,             ///< an allocator found damage: "double free or corruption (out)", …
  stack_protector,        ///< "*** stack smashing detected ***"
  fortify,                ///< "*** buffer overflow detected ***" and its like
  libc_abort,             ///< another word of the C library before abort()
  assertion,              ///< of assert(), libstdc++, libc++
  cxx_terminate,          ///< std::terminate: an exception that nobody caught, or none at all
  cxx_virtual,            ///< a pure or deleted virtual function was called
  address_sanitizer,      ///< AddressSanitizer, HWAddressSanitizer
  memory_sanitizer,
  thread_sanitizer,
  undefined_behaviour_sanitizer,
  valgrind,     ///< memcheck
  rust_panic,   ///< "thread '…' panicked at …"
  rust_abort,   ///< "fatal runtime error: …", "memory allocation of … bytes failed"
  signal,       ///< killed by a signal; the text says nothing better
  exit_status,  ///< ended by itself with a status that is not 0
};

[[nodiscard]] std::string_view to_string(Kind kind);
/// A short phrase for people: "Go: bad pointer in the heap".
[[nodiscard]] std::string_view title(Kind kind);

/// What a kind says about the bug by itself. CrashReport::hint is at least as telling.
[[nodiscard]] CrashHint hint_of(Kind kind);

/// What a suspect value is.
enum class Role : std::uint8_t {
  bad_pointer,    ///< a pointer value that must be stored somewhere: look for its slot
  fault_address,  ///< an address that was accessed: the bad pointer plus some offset
  object,         ///< the base of an object or span that was damaged or freed too early
  slot,           ///< `slot` is where to begin; the value is what it holds
  index,          ///< an index or a length that was out of range
};

[[nodiscard]] std::string_view to_string(Role role);

/// How literally a suspect is to be taken.
enum class Certainty : std::uint8_t {
  stated,    ///< the text or the kernel says so in so many words
  inferred,  ///< follows from what the text says
};

/// A value that the crash is about. For Kind::go_bad_stack_pointer the slot is in the *new* stack,
/// to which copystack has already copied the frame (stack.go: memmove before adjustframe).
struct Suspect {
  Role role = Role::bad_pointer;
  std::optional<std::uint64_t> value;   ///< unknown only for Role::slot
  std::optional<Address> slot;          ///< where the text says that the value is stored
  std::optional<Address> object;        ///< the object that holds the slot…
  std::optional<std::uint64_t> offset;  ///< …and the slot's offset in it
  std::optional<ByteRange> span;        ///< the span or block that the value points into
  Certainty certainty = Certainty::stated;
  std::string description;  ///< one line, for people
  bool operator==(const Suspect&) const = default;
};

/// One argument word of a Go traceback.
struct Argument {
  std::uint64_t value = 0;
  bool uncertain = false;  ///< printed with "?": the slot may be dead
  bool operator==(const Argument&) const = default;
};

/// One frame of a traceback in the text.
struct Frame {
  std::string function;             ///< as printed, without arguments
  std::vector<Argument> arguments;  ///< flat; aggregates are opened
  bool arguments_cut = false;       ///< the text has "..." for the rest
  bool inlined = false;             ///< the text has "(...)" for all arguments, and no fp/sp/pc
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;                    ///< 0 if the text has none
  std::string module;                          ///< the file that holds the code, as printed
  std::optional<std::uint64_t> module_offset;  ///< "(prog+0x1234)": from the module's load address
  std::optional<std::uint64_t> pc_offset;      ///< "+0x5f": from the function's entry
  std::optional<Address> fp;
  std::optional<Address> sp;
  std::optional<Address> pc;
  bool operator==(const Frame&) const = default;
};

/// Which stack a traceback is of.
enum class StackKind : std::uint8_t {
  runtime,    ///< "runtime stack:": the thread's system stack (Go's g0)
  goroutine,  ///< "goroutine N [state]:"
  native,     ///< frames of C code
};

[[nodiscard]] std::string_view to_string(StackKind kind);

/// What a stack of the report is the stack of.
enum class StackRole : std::uint8_t {
  crash,         ///< of the failing operation (the only role that Go's tracebacks have)
  other_access,  ///< the other access of a race
  freed,         ///< of the call that freed the block
  allocated,     ///< of the call that allocated the block
  stored,        ///< a store that passed an uninitialised value on
  created,       ///< where the uninitialised bytes came to be
  thread_start,  ///< of the call that started `thread`
  lock,          ///< where a lock was made or taken
  owner,         ///< the frame that the accessed local belongs to
  other,
};

[[nodiscard]] std::string_view to_string(StackRole role);

/// What was done to memory.
enum class AccessKind : std::uint8_t {
  unknown,
  read,
  write,
  execute,
};

[[nodiscard]] std::string_view to_string(AccessKind kind);

/// An access that a report tells of.
struct Access {
  AccessKind kind = AccessKind::unknown;
  std::optional<std::uint64_t> size;  ///< in bytes
  std::optional<Address> address;
  bool atomic = false;
  bool operator==(const Access&) const = default;
};

/// One traceback.
struct Stack {
  StackKind kind = StackKind::goroutine;
  StackRole role = StackRole::crash;
  std::string thread;                     ///< as the text names it: "T1", "main thread", "worker-3"
  std::optional<Access> access;           ///< that the stack made, for crash and other_access
  std::optional<std::int64_t> goroutine;  ///< its number
  std::string state;                      ///< "running, locked to thread"
  std::optional<std::int64_t> machine;    ///< "m=0": the runtime's thread number
  std::vector<Frame> frames;              ///< innermost first
  std::optional<Frame> created_by;
  bool cut = false;  ///< frames are missing
  bool operator==(const Stack&) const = default;
};

/// A register of the register dump.
struct RegisterValue {
  std::string name;
  std::uint64_t value = 0;
  bool operator==(const RegisterValue&) const = default;
};

/// Where in a report a frame is.
struct FrameRef {
  std::size_t stack = 0;
  std::size_t frame = 0;
  bool operator==(const FrameRef&) const = default;
};

/// One crash. Bounds: 16 suspects, 64 message lines of 512 bytes, 64 stacks of 256 frames, 16
/// arguments a frame, names of 1024 bytes. Strings are the program's bytes, unsanitised.
struct CrashReport {
  Kind kind = Kind::exit_status;
  CrashHint hint = CrashHint::none;  ///< what the words say about the bug
  std::string front_end;             ///< the name of the front end that wrote it
  std::string runtime = "none";      ///< "go", "glibc", "libstdc++", "asan", "rust", …, "none"
  std::optional<int> signal;         ///< that the text or the kernel names
  std::optional<int> signal_code;
  std::optional<Address> fault_address;
  std::optional<Address> pc;  ///< of the faulting instruction
  std::optional<int> exit_status;
  std::vector<Suspect> suspects;     ///< best first
  std::vector<std::string> message;  ///< the lines that say what is wrong, without the tracebacks
  std::vector<Stack> stacks;         ///< in the order of the text
  /// The frame in which the runtime noticed (innermost frame that is not the reporting machinery
  /// itself), for example wbBufFlush1 with its argument, the P.
  std::optional<FrameRef> reporting;
  std::optional<std::int64_t> goroutine;  ///< that was running
  std::vector<RegisterValue> registers;   ///< of the fault, if the text has them
  std::uint64_t offset = 0;               ///< of the first message line in the text, in bytes
  bool truncated = false;                 ///< the text ends in the middle, or a bound was met

  /// The frame `reporting` points to; null if there is none.
  [[nodiscard]] const Frame* reporting_frame() const;
  bool operator==(const CrashReport&) const = default;
};

/// "SIGSEGV" for 11; "signal 77" for a number without a name.
[[nodiscard]] std::string signal_name(int signal);
/// 11 for "SIGSEGV"; nothing for a name that is not Linux's on x86-64.
[[nodiscard]] std::optional<int> signal_number(std::string_view name);

}  // namespace culprit::crash
