// The report model: the chain of hops from a crash back to the origin of its bad value, and a
// verdict.
//
// This is plain data. Whoever follows a chain fills it; the formats (json.h, text.h, …) are pure
// functions of it. Nothing here knows how a hop was found.
//
// Conventions
//  * An empty string, an empty optional, an EventNumber of 0 and a ThreadId of 0 mean "not known";
//    such members are left out of the JSON. Nothing is ever guessed to fill a gap.
//  * Strings that come from the program under test (symbol, file and variable names, crash text)
//  are
//    stored as they were found, any bytes; the formats make them harmless (sanitize.h).
//  * Numbers of the machine (addresses, values, offsets into modules) become hex strings in JSON.
//  * Hops are ordered from the crash to the origin. `index` equals the place in Report::hops.
//  * The environment of the program is never stored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/types.h"
#include "report/bug_class.h"
#include "report/enum_names.h"

namespace culprit::report {

/// The version of the JSON form. The second number grows when members are added, the first when
/// readers of older reports would misunderstand. One report of each version that was ever written is
/// kept in testdata/versions.
///  1.1: crash.hint, engine.choice; more names of bug classes.
inline constexpr std::string_view kSchemaVersion = "1.1";

/// How sure a statement is.
enum class Confidence : std::uint8_t {
  proved,   ///< the recorded bytes and the executed instruction agree: nothing was inferred
  likely,   ///< inferred from evidence that is named in the note
  unknown,  ///< a place where the chain is open
};

/// What a hop is: one writer event of a slot, one step of the value on its way, or its origin.
enum class HopKind : std::uint8_t {
  crash_report,    ///< where the crash was noticed, and the frame that held the bad value then
  load,            ///< the value was read from `location` here (register ← memory)
  register_slice,  ///< the value went through registers only (calls, returns, moves)
  store,           ///< an instruction stored the value into `location`
  runtime_store,  ///< a store made by a language runtime on behalf of the program (a write barrier)
  block_copy,     ///< a block copy (memcpy, memmove, rep movs, a struct copy) put the bytes there
  stale_bytes,    ///< `location` was not written in the life of its owner: the bytes are older than
                  ///< it
  kernel_write,   ///< a system call's results, written by the kernel
  foreign_write,  ///< written from outside the process (process_vm_writev, ptrace, /proc/PID/mem)
  channel,     ///< the bytes came through a pipe, socket or shared mapping from a recorded process
  remap,       ///< a mapping change (mmap, mremap, munmap, madvise, brk) replaced the bytes
  arithmetic,  ///< the value was computed from several inputs; `inputs` says which one is followed
  allocation,  ///< the memory (or the object that the value points to) was handed out here
  release,     ///< the memory (or the object that the value points to) was given up here
  registration,   ///< a range or object was made known to a runtime here (code fragment, root, …)
  conflict,       ///< another thread's access that is not ordered with the hop before
  initial_image,  ///< the bytes are those of the file or of the kernel at start (data segment,
                  ///< argv)
  origin,         ///< the value was born here (constant, address taken, result of a computation)
};

/// What kind of memory an address is in.
enum class RegionKind : std::uint8_t {
  unknown,
  stack,           ///< a thread's stack
  runtime_stack,   ///< a stack managed by a runtime: a goroutine's, a fiber's, a bytecode stack
  heap,            ///< a block of malloc or of a like allocator
  runtime_object,  ///< inside a runtime's own object or buffer: a GC heap, a write barrier buffer
  global,          ///< static storage of a module
  tls,             ///< thread-local storage
  code,            ///< executable bytes of a module, or generated code
  mapping,         ///< any other mapping; `description` names the file if there is one
  kernel,          ///< vdso, vvar
  unmapped,        ///< nothing is mapped there (at the time of the hop)
};

/// Where the written value came from, as the slice found it.
enum class SourceKind : std::uint8_t {
  unknown,
  memory,      ///< loaded from `address`: the chain goes on there
  register_,   ///< a register that the slice could not follow further; "register" in JSON
  immediate,   ///< a constant in the instruction
  zero,        ///< a zeroing idiom or a cleared block
  address,     ///< the address of an object (lea, a return address, a stack pointer)
  arithmetic,  ///< computed from several inputs
  syscall,     ///< the kernel
  file,        ///< bytes of a mapped file
  argument,    ///< the program's arguments or environment block, written at exec
};

/// Which stack a frame is on.
enum class StackKind : std::uint8_t {
  unknown,
  native,       ///< the thread's own stack: C, C++, Rust
  goroutine,    ///< a goroutine's stack
  system,       ///< the stack of a thread on which a runtime runs itself (Go's g0)
  signal,       ///< a signal handler's stack
  interpreter,  ///< a frame of an interpreted or managed language
};

/// Why the chain ends where it ends. A closed list.
enum class StopReason : std::uint8_t {
  origin_found,
  kernel_input,     ///< the bytes came from outside the recording through a system call
  constant,         ///< an immediate in the code
  arithmetic,       ///< several inputs, none of which is the pointer
  mapping_created,  ///< the bytes are those a mapping was created with
  initial_image,    ///< the bytes were there before the first instruction (data segment, argv)
  start_of_recording,
  limit_reached,    ///< --max-hops, a byte, step or pass limit; the note says which
  timeout,          ///< --timeout
  decoder_unknown,  ///< an instruction whose data flow is not known
  replay_diverged,
  value_not_found,     ///< the reported value is nowhere in the recorded program
  writer_not_found,    ///< the slot is known, but no pass saw its writer
  unexplained_change,  ///< the bytes changed, and nothing in the trace explains it
  interrupted,         ///< the user stopped it
};

/// How a replay finds a moment again: the `ordinal`-th hit of a probe.
struct PositionProbe {
  std::string kind;  ///< "write" or "execute"
  Address address;
  std::uint64_t size = 0;                     ///< bytes, write only
  std::optional<std::uint64_t> value_filter;  ///< only writes of this value count
  std::uint64_t ordinal = 0;                  ///< from 1
  bool operator==(const PositionProbe&) const = default;
};

/// A moment of the recording.
struct Position {
  using Probe = PositionProbe;
  EventNumber event;  ///< rr's event number, for `rr replay -g`
  ThreadId thread;
  std::string thread_name;
  ProcessId process;
  std::optional<std::uint64_t> syscalls;  ///< system calls entered by this thread so far
  std::optional<std::uint64_t> ticks;     ///< rr's tick count, hardware engines only
  std::optional<Probe> probe;
  bool operator==(const Position&) const = default;
};

/// One line of a source excerpt.
struct SourceLine {
  std::uint32_t line = 0;
  std::string text;
  bool operator==(const SourceLine&) const = default;
};

/// One frame of a backtrace, innermost first.
struct Frame {
  std::string function;   ///< the symbol as linked
  std::string demangled;  ///< for people; empty if the same
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string module;                          ///< path of the ELF file
  std::optional<std::uint64_t> module_offset;  ///< link-time address in the module
  std::optional<Address> pc;
  std::optional<Address> frame_address;  ///< the CFA
  bool inlined = false;                  ///< inlined into the next frame
  StackKind stack = StackKind::unknown;
  std::optional<std::int64_t> goroutine;  ///< or another runtime's task number
  bool operator==(const Frame&) const = default;
};

/// The instruction that did it, and whose code it is.
struct Writer {
  std::string function;
  std::string demangled;
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string module;
  std::string build_id;
  std::optional<std::uint64_t> module_offset;
  std::optional<Address> pc;
  std::string instruction;  ///< disassembly, Intel syntax
  std::vector<Frame>
      inlined_in;           ///< the functions that this code was inlined into, innermost first
  std::string source_line;  ///< the text of file:line, if the file could be read
  std::vector<SourceLine> excerpt;  ///< a few lines around it, ascending
  bool operator==(const Writer&) const = default;
};

/// Something that happened to an object: it was allocated, freed, entered, left, mapped, unmapped.
struct LifeEvent {
  Position position;
  std::string description;  ///< "frame of cache_schema entered", "free(0x…)", "munmap"
  std::vector<Frame> backtrace;
  bool operator==(const LifeEvent&) const = default;
};

/// The life of the object that owns a location.
struct Life {
  std::optional<LifeEvent> born;
  std::optional<LifeEvent> died;
  std::optional<bool> alive_at_write;  ///< was the owner alive when the bytes were written?
  bool operator==(const Life&) const = default;
};

/// Whose bytes they are.
struct Owner {
  std::string variable;     ///< "c_schema"; empty for an unnamed heap block
  std::string member;       ///< path inside it, without a leading dot: "format", "items[3].next"
  std::string type;         ///< of the variable: "struct ArrowSchema"
  std::string member_type;  ///< of the member: "const char *"
  std::string declared_file;
  std::uint32_t declared_line = 0;
  std::string function;  ///< the function whose frame holds it
  std::string module;
  std::optional<std::int64_t> frame_offset;  ///< from the frame's CFA, in bytes
  std::optional<Address> frame;              ///< the CFA: tells two activations apart
  std::optional<Address> object;             ///< where the variable or block begins
  std::optional<std::uint64_t> object_size;  ///< in bytes
  std::optional<std::uint64_t> offset;       ///< of the location in the object
  std::string allocator;                     ///< "malloc", "operator new", "mmap", "Go span", …
  Life life;
  bool operator==(const Owner&) const = default;
};

/// One region that an address belonged to during the recording.
struct RegionPeriod {
  RegionKind kind = RegionKind::unknown;
  std::optional<ByteRange> range;
  std::string description;
  std::optional<LifeEvent> from;
  std::optional<LifeEvent> to;
  bool operator==(const RegionPeriod&) const = default;
};

/// A slot of memory.
struct Location {
  Address address;
  std::uint64_t size = 0;  ///< in bytes
  RegionKind region = RegionKind::unknown;
  std::string
      description;  ///< "stack of thread 1234 (main)", "write barrier buffer of P 0, entry 9"
  std::optional<ByteRange> mapping;  ///< the mapping that holds it
  std::string mapping_path;
  std::optional<Owner> owner;
  std::vector<RegionPeriod> history;  ///< oldest first; only where it matters
  bool operator==(const Location&) const = default;
};

/// A system call. Only scalars: never the bytes that it moved.
struct Syscall {
  std::uint64_t number = 0;
  std::string name;
  std::vector<std::uint64_t> arguments;
  std::int64_t result = 0;
  std::optional<std::int32_t> descriptor;
  std::string path;                          ///< of the descriptor, if known
  std::optional<std::uint64_t> file_offset;  ///< of the first byte that the hop is about
  bool operator==(const Syscall&) const = default;
};

/// One input of a value.
struct Source {
  SourceKind kind = SourceKind::unknown;
  std::optional<Address> address;      ///< memory: where it was loaded from
  std::uint64_t size = 0;              ///< in bytes
  std::optional<std::uint64_t> value;  ///< what it was
  std::string register_name;           ///< "rcx"
  std::optional<Address> pc;           ///< of the instruction that fetched it
  std::string instruction;
  std::string description;  ///< "gp.stack.lo"
  bool followed = false;    ///< in Hop::inputs: the input that the chain goes on with
  bool operator==(const Source&) const = default;
};

/// How a person gets to this moment.
struct Revisit {
  EventNumber event;
  std::string command;                    ///< one shell line
  std::vector<std::string> gdb_commands;  ///< to type then
  bool operator==(const Revisit&) const = default;
};

/// A range of bytes of the suspect value: [first, first + count), 0 = least significant.
struct ValueBytes {
  std::uint32_t first = 0;
  std::uint32_t count = 8;
  bool operator==(const ValueBytes&) const = default;
};

/// One step of the chain.
struct Hop {
  std::uint32_t index = 0;  ///< place in Report::hops
  /// The hop that this one explains: nothing for the first. On the main line it is the hop just
  /// before; a hop that begins a side branch (other bytes, another input) names the fork.
  std::optional<std::uint32_t> parent;
  bool main_line = true;  ///< false on a side branch
  HopKind kind = HopKind::store;
  std::string summary;  ///< one line, e.g. "copystack saved the old stack's bounds"
  Position position;
  Writer writer;
  std::optional<Location> location;
  std::optional<ValueBytes> bytes;            ///< the bytes explained, if not all
  std::optional<std::uint64_t> value_before;  ///< of location, zero-extended
  std::optional<std::uint64_t> value_after;
  std::optional<Source> source;    ///< where the value came from
  std::vector<Source> inputs;      ///< all inputs, if several
  std::optional<Syscall> syscall;  ///< kernel_write, foreign_write, channel, remap
  std::vector<Frame> backtrace;
  Confidence confidence = Confidence::unknown;
  std::string note;  ///< the evidence, in a sentence or two
  std::optional<Revisit> revisit;
  bool operator==(const Hop&) const = default;
};

/// The place that has to be changed, as far as the chain tells: what a fingerprint is made of. It
/// need not be where the bad value was born (an uninitialised variable: its declaration).
struct CauseSite {
  std::string function;
  std::string file;
  std::uint32_t line = 0;
  std::string variable;
  std::string member;
  std::string module;
  bool operator==(const CauseSite&) const = default;
};

/// What kind of bug it is.
struct Verdict {
  BugClass bug_class = BugClass::unknown;  ///< "class" in JSON
  std::string title;                       ///< one line; empty: that of the class
  std::string explanation;                 ///< one paragraph
  std::vector<std::uint32_t> evidence;     ///< indices of hops
  std::string suggested_fix;               ///< empty: that of the class
  Confidence confidence = Confidence::unknown;
  StopReason stopped_because = StopReason::value_not_found;
  std::string stopped_detail;  ///< which limit, which instruction, …
  std::optional<CauseSite> cause;
  bool operator==(const Verdict&) const = default;
};

/// This tool.
struct Tool {
  std::string name = "culprit";
  std::string version;
  bool operator==(const Tool&) const = default;
};

/// The program under test. Arguments as they were given; never the environment.
struct Program {
  std::vector<std::string> argv;
  std::string cwd;
  std::string executable;
  std::string build_id;
  ProcessId pid;
  bool operator==(const Program&) const = default;
};

/// How the recorded program ended.
struct Recorded {
  std::optional<std::int32_t> exit_status;
  std::optional<std::int32_t> signal;
  std::string signal_name;     ///< "SIGSEGV"
  std::uint32_t attempts = 0;  ///< recordings made until it failed; 0: not known
  bool operator==(const Recorded&) const = default;
};

/// The recording.
struct Trace {
  std::string directory;
  std::string rr_version;
  std::uint64_t events = 0;
  Recorded recorded;
  bool operator==(const Trace&) const = default;
};

/// How it was replayed.
struct Engine {
  std::string name;                      ///< "software-ticks/forward", "exact-ticks/reverse", ...
  std::string ticks;                     ///< "hardware", "software", "exact"
  std::string choice;                    ///< why this one: "asked for", "the trace is short", ...
  std::vector<std::string> limitations;  ///< what this engine cannot know
  bool operator==(const Engine&) const = default;
};

/// The crash, as the program and the kernel told it.
struct Crash {
  std::string kind;     ///< id of the front end's kind: "go_bad_pointer", "signal"
  std::string hint;     ///< what the text says of the bug: "double_free", "pure_virtual_call"; may be empty
  std::string runtime;  ///< "go", "glibc", "ocaml", "none"
  std::optional<std::int32_t> signal;
  std::string signal_name;
  std::optional<Address> fault_address;
  std::string message;  ///< the lines that say it, a bounded excerpt
  Position position;
  std::vector<Frame> frames;
  bool operator==(const Crash&) const = default;
};

/// The value that the chain is about.
struct Suspect {
  std::uint64_t value = 0;
  std::uint32_t size = 8;            ///< bytes
  std::string description;           ///< "pointer to an unallocated span"
  std::string how_chosen;            ///< "named by the crash report, …"
  std::optional<Location> location;  ///< the slot where the chain begins, if known
  Confidence confidence = Confidence::unknown;
  bool operator==(const Suspect&) const = default;
};

/// Stable hashes of the cause: see fingerprint.h.
struct Fingerprint {
  std::string strict;
  std::string loose;
  bool operator==(const Fingerprint&) const = default;
};

/// What it cost.
struct Stats {
  std::uint64_t passes = 0;
  std::uint64_t hits = 0;   ///< probe hits over all passes
  std::uint64_t steps = 0;  ///< single-stepped instructions over all passes
  std::uint64_t peak_memory_bytes = 0;
  struct Phase {
    std::string name;
    double elapsed_ms = 0;
    bool operator==(const Phase&) const = default;
  };
  std::vector<Phase> phases;  ///< in the order in which they ran
  bool operator==(const Stats&) const = default;
};

/// Everything.
struct Report {
  std::string schema_version{kSchemaVersion};
  Tool tool;
  Program program;
  Trace trace;
  Engine engine;
  Crash crash;
  std::optional<Suspect> suspect;
  std::vector<Hop> hops;
  Verdict verdict;
  Fingerprint fingerprint;
  Stats stats;
  std::vector<std::string> warnings;  ///< "no debug info for libfoo.so: …"
  bool operator==(const Report&) const = default;
};

/// True if the chain reached an end that explains the value (exit code 0), false if something is
/// missing (exit code 3): see StopReason.
[[nodiscard]] bool complete(const Report& report);

/// Sets index, and parent where it is missing, of each hop of a chain in order: a main-line hop
/// explains the main-line hop before it.
void number_hops(std::vector<Hop>& hops);

template <>
std::span<const EnumName<Confidence>> enum_names<Confidence>();
template <>
std::span<const EnumName<HopKind>> enum_names<HopKind>();
template <>
std::span<const EnumName<RegionKind>> enum_names<RegionKind>();
template <>
std::span<const EnumName<SourceKind>> enum_names<SourceKind>();
template <>
std::span<const EnumName<StackKind>> enum_names<StackKind>();
template <>
std::span<const EnumName<StopReason>> enum_names<StopReason>();

}  // namespace culprit::report
