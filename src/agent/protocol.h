// What the driver (src/replay) and the agent (src/agent/pass, inside rr's supervisor) say to each
// other during one pass.
//
// Transport: one SOCK_STREAM socket pair; the agent's end is inherited by rr under the number given
// in the agent's environment. Both ends are on one machine and of one build: little endian, no
// padding.
//
// A frame is   u32 length | u8 type | payload[length - 1]   with 1 <= length <= kMaxFrame. A
// payload is the fields of the message in the order of its fields() function: integers in their own
// width, bool as one byte (0 or 1), an optional as a bool and the value if true, a vector as a u32
// count (bounded) and its elements, a string as a vector of bytes. A payload must be used up
// exactly. Anything else - a length out of bounds, an unknown type, an enumerator out of range,
// trailing bytes, the end of the stream inside a frame - ends the session: the reader reports it
// and never guesses.
//
// Session:
//   agent:  Hello                                 (first frame; a wrong version ends it)
//   driver: Spec, Clones*, KernelWrites*, Start   (the tables may come in several frames)
//   agent:  { TaskStarted | Hit | MapEvent | StepChunk | ... }*
//           A Hit with live == true, and EndReached, stop the replay: the agent then answers
//           requests (ReadMemory, ReadRegisters, ListThreads, ReadMaps, FindHeapBlocks), one answer
//           frame each,
//           until GoOn or Finish. Elsewhere the driver may only send Finish, which the agent looks
//           for now and then.
//   agent:  StepInfo + StepChunk* if a window was asked for and stands; kept Hits: before
//   EndReached, or
//           where the end mark was not reached, before Done.
//   agent:  Done. Or Failed.
// The driver must tolerate the end of the stream at any point (rr died), the agent too (driver
// died: it ends the replay).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/registers.h"

namespace culprit::agent::wire {

inline constexpr std::uint32_t kVersion = 4;
inline constexpr std::uint32_t kMaxRead = 1 << 20;           ///< bytes of one ReadMemory
inline constexpr std::uint32_t kMaxFrame = kMaxRead + 4096;  ///< of `length`
inline constexpr std::size_t kMaxUnits = 4;                  ///< x86-64 debug address registers
inline constexpr std::size_t kMaxProbes = 16;                ///< probes and marks' own probes
inline constexpr std::size_t kMaxActivations = 4;            ///< that one pass can look for
inline constexpr std::size_t kMaxText = 4096;
inline constexpr std::size_t kMaxHeapFunctions = 64;
inline constexpr std::size_t kMaxHeapStack = 1024;  ///< bytes of the stack kept with an allocator call
inline constexpr std::size_t kMaxHeapBlocks = 16;   ///< of one answer
inline constexpr std::size_t kTableChunk = 16384;  ///< entries of one Clones/KernelWrites frame
/// Hit::syscall of a change that no system call made (see KernelCause).
inline constexpr std::uint64_t kNoSyscall = ~std::uint64_t{0};

enum class Type : std::uint8_t {
  // agent to driver
  hello = 1,
  task_started,
  hit,
  map_event,
  step_info,
  step_chunk,
  end_reached,
  done,
  failed,
  memory,
  registers,
  threads,
  text,
  refused,
  heap_blocks,
  // driver to agent
  spec = 64,
  clones,
  kernel_writes,
  start,
  read_memory,
  read_registers,
  list_threads,
  read_maps,
  go_on,
  finish,
  find_heap_blocks,
};

/// Appends fields to a byte buffer.
class Writer {
 public:
  static constexpr bool reading = false;
  explicit Writer(std::vector<std::uint8_t>& out) : out_(out) {}

  template <typename... T>
  void operator()(const T&... values) {
    (put(values), ...);
  }
  template <typename T>
  void enumeration(const T& value, T /*last*/) {
    put(static_cast<std::uint8_t>(value));
  }
  template <typename T>
  void list(const std::vector<T>& values, std::size_t /*bound*/) {
    put(static_cast<std::uint32_t>(values.size()));
    for (const T& value : values) put(value);
  }
  void text(const std::string& value, std::size_t bound) {
    const std::size_t size = value.size() < bound ? value.size() : bound;
    put(static_cast<std::uint32_t>(size));
    bytes({reinterpret_cast<const std::uint8_t*>(value.data()), size});
  }
  void blob(const std::vector<std::uint8_t>& value, std::size_t /*bound*/) {
    put(static_cast<std::uint32_t>(value.size()));
    bytes(value);
  }

 private:
  void bytes(std::span<const std::uint8_t> data) {
    out_.insert(out_.end(), data.begin(), data.end());
  }
  template <typename T>
  void put(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      out_.push_back(value ? 1 : 0);
    } else if constexpr (std::is_integral_v<T>) {
      std::uint8_t raw[sizeof(T)];
      std::memcpy(raw, &value, sizeof(T));
      bytes(raw);
    } else {
      // fields() is shared with the reader, so it is not const; the writer changes nothing.
      const_cast<T&>(value).fields(*this);
    }
  }
  template <typename T, std::size_t N>
  void put(const std::array<T, N>& values) {
    for (const T& value : values) put(value);
  }
  template <typename T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
  void put(const Registers& r) {
    put(r.gpr);
    put(r.rip), put(r.rflags), put(r.fs_base), put(r.gs_base), put(r.orig_rax);
  }
  std::vector<std::uint8_t>& out_;
};

/// Takes fields from a payload. After the first violation ok() is false and all fields read as
/// zero.
class Reader {
 public:
  static constexpr bool reading = true;
  explicit Reader(std::span<const std::uint8_t> in) : in_(in) {}
  bool ok() const { return ok_; }
  /// All bytes used and none missing.
  bool complete() const { return ok_ && in_.empty(); }

  template <typename... T>
  void operator()(T&... values) {
    (get(values), ...);
  }
  template <typename T>
  void enumeration(T& value, T last) {
    std::uint8_t raw = 0;
    get(raw);
    if (raw > static_cast<std::uint8_t>(last)) fail();
    value = ok_ ? static_cast<T>(raw) : T{};
  }
  template <typename T>
  void list(std::vector<T>& values, std::size_t bound) {
    std::uint32_t count = 0;
    get(count);
    // Every element takes at least one byte, so a lying count cannot make this allocate much.
    if (count > bound || count > in_.size()) return fail();
    values.clear();
    for (std::uint32_t i = 0; i < count && ok_; ++i) get(values.emplace_back());
  }
  void text(std::string& value, std::size_t bound) {
    std::span<const std::uint8_t> data = counted(bound);
    value.assign(reinterpret_cast<const char*>(data.data()), data.size());
  }
  void blob(std::vector<std::uint8_t>& value, std::size_t bound) {
    std::span<const std::uint8_t> data = counted(bound);
    value.assign(data.begin(), data.end());
  }

 private:
  void fail() {
    ok_ = false;
    in_ = {};
  }
  std::span<const std::uint8_t> counted(std::size_t bound) {
    std::uint32_t count = 0;
    get(count);
    if (count > bound || count > in_.size()) {
      fail();
      return {};
    }
    const auto data = in_.first(count);
    in_ = in_.subspan(count);
    return data;
  }
  template <typename T>
  void get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t raw = 0;
      get(raw);
      if (raw > 1) fail();
      value = ok_ && raw == 1;
    } else if constexpr (std::is_integral_v<T>) {
      value = 0;
      if (in_.size() < sizeof(T)) return fail();
      std::memcpy(&value, in_.data(), sizeof(T));
      in_ = in_.subspan(sizeof(T));
    } else {
      value.fields(*this);
    }
  }
  template <typename T, std::size_t N>
  void get(std::array<T, N>& values) {
    for (T& value : values) get(value);
  }
  template <typename T>
  void get(std::optional<T>& value) {
    bool present = false;
    get(present);
    value.reset();
    if (present && ok_) get(value.emplace());
  }
  void get(Registers& r) {
    get(r.gpr);
    get(r.rip), get(r.rflags), get(r.fs_base), get(r.gs_base), get(r.orig_rax);
  }
  std::span<const std::uint8_t> in_;
  bool ok_ = true;
};

// ------------------------------------------------------------------------------- agent to driver

struct Hello {
  static constexpr Type type = Type::hello;
  std::uint32_t version = kVersion;
  std::int32_t pid = 0;  ///< of rr
  std::string build;     ///< of the agent, for messages
  template <typename A>
  void fields(A& a) {
    a(version, pid);
    a.text(build, kMaxText);
  }
};

/// A replayed task exists; sent so that the driver can see to it that none is left behind.
struct TaskStarted {
  static constexpr Type type = Type::task_started;
  std::int32_t real_tid = 0;
  std::int32_t thread = 0;  ///< recorded
  template <typename A>
  void fields(A& a) {
    a(real_tid, thread);
  }
};

struct Position {
  std::int32_t thread = 0, process = 0;
  std::uint64_t syscalls = 0, sequence = 0;
  template <typename A>
  void fields(A& a) {
    a(thread, process, syscalls, sequence);
  }
};

/// What made a change that no instruction made.
enum class KernelCause : std::uint8_t {
  syscall,       ///< a system call's results
  remap,         ///< a system call that changed the mapping
  signal_frame,  ///< the kernel's frame for a signal handler; number = signal
  unknown,       ///< nothing in this process: another process through shared memory
};

struct Kernel {
  KernelCause cause = KernelCause::syscall;
  std::uint64_t number = 0;
  std::array<std::uint64_t, 6> arguments{};
  std::int64_t result = 0;
  template <typename A>
  void fields(A& a) {
    a.enumeration(cause, KernelCause::unknown);
    a(number, arguments, result);
  }
};

struct Hit {
  static constexpr Type type = Type::hit;
  std::uint8_t probe = 0;
  std::uint64_t ordinal = 0, raw_ordinal = 0;
  Position position;
  Registers registers;
  std::uint64_t value_before = 0, value_after = 0;
  bool before_known = false;
  bool live = false;
  std::optional<Kernel> kernel;
  template <typename A>
  void fields(A& a) {
    a(probe, ordinal, raw_ordinal, position, registers, value_before, value_after, before_known,
      live, kernel);
  }
};

struct MapEvent {
  static constexpr Type type = Type::map_event;
  Position position;
  std::uint64_t syscall = 0;
  std::array<std::uint64_t, 6> arguments{};
  std::int64_t result = 0;
  template <typename A>
  void fields(A& a) {
    a(position, syscall, arguments, result);
  }
};

/// Before the chunks of a step window.
struct StepInfo {
  static constexpr Type type = Type::step_info;
  std::int32_t thread = 0;
  std::uint64_t total = 0;  ///< instructions stepped, also those no longer kept
  std::uint64_t kept = 0;   ///< records in the chunks that follow
  Registers final_registers;
  template <typename A>
  void fields(A& a) {
    a(thread, total, kept, final_registers);
  }
};

/// Records of step_codec.h, oldest first; each chunk can be decoded by itself.
struct StepChunk {
  static constexpr Type type = Type::step_chunk;
  static constexpr std::size_t kMaxBytes = 128 * 1024;
  std::uint32_t count = 0;
  std::vector<std::uint8_t> bytes;
  template <typename A>
  void fields(A& a) {
    a(count);
    a.blob(bytes, kMaxBytes);
  }
};

struct EndReached {
  static constexpr Type type = Type::end_reached;
  Position position;
  Registers registers;
  template <typename A>
  void fields(A& a) {
    a(position, registers);
  }
};

struct Counter {
  std::uint64_t matches = 0, raw = 0;
  template <typename A>
  void fields(A& a) {
    a(matches, raw);
  }
};

struct ThreadCount {
  std::int32_t thread = 0;
  std::uint64_t syscalls = 0;
  template <typename A>
  void fields(A& a) {
    a(thread, syscalls);
  }
};

struct Done {
  static constexpr Type type = Type::done;
  bool end_reached = false;
  std::vector<Counter> counters;     ///< per probe of the Spec
  std::vector<ThreadCount> threads;  ///< system call entries seen; the first kTableChunk threads
  template <typename A>
  void fields(A& a) {
    a(end_reached);
    a.list(counters, kMaxProbes);
    a.list(threads, kTableChunk);
  }
};

/// The pass cannot go on; nothing follows.
struct Failed {
  static constexpr Type type = Type::failed;
  enum class Reason : std::uint8_t { internal, usage, too_many_hits, divergence };
  Reason reason = Reason::internal;
  std::string message;
  template <typename A>
  void fields(A& a) {
    a.enumeration(reason, Reason::divergence);
    a.text(message, kMaxText);
  }
};

struct Memory {
  static constexpr Type type = Type::memory;
  std::vector<std::uint8_t> bytes;  ///< as many as could be read, from the start of what was asked
  template <typename A>
  void fields(A& a) {
    a.blob(bytes, kMaxRead);
  }
};

struct RegistersReply {
  static constexpr Type type = Type::registers;
  Registers registers;
  template <typename A>
  void fields(A& a) {
    a(registers);
  }
};

struct ThreadList {
  static constexpr Type type = Type::threads;
  struct Thread {
    std::int32_t thread = 0, process = 0;
    template <typename A>
    void fields(A& a) {
      a(thread, process);
    }
  };
  std::vector<Thread> threads;
  template <typename A>
  void fields(A& a) {
    a.list(threads, 100'000);
  }
};

struct Text {
  static constexpr Type type = Type::text;
  std::string text;
  template <typename A>
  void fields(A& a) {
    a.text(text, kMaxRead);
  }
};

/// A call of an allocator's function, at its entry.
struct HeapCall {
  Position position;
  std::uint64_t ordinal = 0;  ///< among the calls of this address space, from 1: the same in each pass
  std::uint8_t function = 0;  ///< index into HeapSpec::functions
  Registers registers;        ///< before its first instruction
  std::vector<std::uint8_t> stack;  ///< from rsp up; may be empty for old calls
  template <typename A>
  void fields(A& a) {
    a(position, ordinal, function, registers);
    a.blob(stack, kMaxHeapStack);
  }
};

/// A block as the allocator was asked for it.
struct HeapBlock {
  std::uint64_t start = 0, size = 0;
  HeapCall allocated;
  std::optional<HeapCall> released;
  template <typename A>
  void fields(A& a) {
    a(start, size, allocated, released);
  }
};

struct HeapBlocks {
  static constexpr Type type = Type::heap_blocks;
  std::vector<HeapBlock> holding;  ///< hold the address, newest first
  std::optional<HeapBlock> below;  ///< the nearest living block that ends at or below the address
  std::optional<HeapBlock> above;  ///< the nearest living block that begins above it
  std::vector<HeapCall> stray;     ///< newest releases of exactly this address when no block began there
  std::optional<HeapCall> current;  ///< the newest call of the stopped thread; it may have returned
  std::uint64_t calls = 0;         ///< seen so far
  bool complete = false;           ///< every call since the process's start was seen
  template <typename A>
  void fields(A& a) {
    a.list(holding, kMaxHeapBlocks);
    a(below, above);
    a.list(stray, kMaxHeapBlocks);
    a(current, calls, complete);
  }
};

/// The request could not be answered.
struct Refused {
  static constexpr Type type = Type::refused;
  std::string message;
  template <typename A>
  void fields(A& a) {
    a.text(message, kMaxText);
  }
};

// ------------------------------------------------------------------------------- driver to agent

enum class ProbeKind : std::uint8_t { write, execute };

/// One debug register: a naturally aligned unit of 1, 2, 4 or 8 bytes (1 for execute).
struct Unit {
  std::uint64_t address = 0;
  std::uint8_t length = 8;
  ProbeKind kind = ProbeKind::write;
  template <typename A>
  void fields(A& a) {
    a(address, length);
    a.enumeration(kind, ProbeKind::execute);
  }
};

struct Probe {
  ProbeKind kind = ProbeKind::write;
  std::uint64_t address = 0;
  std::uint8_t size = 8;
  std::uint8_t units = 0;  ///< bit i: Unit i belongs to it
  std::optional<std::int32_t> thread, process;
  bool filtered = false;
  std::uint64_t value = 0, mask = 0;
  std::uint32_t keep_last = 0;
  bool live = false;
  bool report = true;  ///< false: only counted, for a mark
  template <typename A>
  void fields(A& a) {
    a.enumeration(kind, ProbeKind::execute);
    a(address, size, units, thread, process, filtered, value, mask, keep_last, live, report);
  }
};

enum class MarkKind : std::uint8_t { end, probe_hit, syscall_entry, syscall_exit, signal_stop };

struct Mark {
  MarkKind kind = MarkKind::end;
  std::uint8_t probe = 0;  ///< index into Spec::probes
  std::int32_t thread = 0;
  std::uint64_t ordinal = 0;
  std::int32_t signal = 0;
  /// syscall_exit and signal_stop: the result of the thread's `ordinal`-th system call as recorded,
  /// used where the replay kills the thread without showing its registers.
  std::int64_t recorded_result = 0;
  template <typename A>
  void fields(A& a) {
    a.enumeration(kind, MarkKind::signal_stop);
    a(probe, thread, ordinal, signal, recorded_result);
  }
};

/// What a function of an allocator does (C standard and POSIX signatures).
enum class HeapRole : std::uint8_t {
  allocate,        ///< void* f(size)
  allocate_array,  ///< void* f(count, size)
  resize,          ///< void* f(old, size)
  resize_array,    ///< void* f(old, count, size)
  allocate_aligned,  ///< void* f(alignment, size)
  allocate_into,     ///< int f(void** result, alignment, size)
  release,           ///< void f(pointer)
};

/// A function whose calls are seen through a breakpoint on its first byte. It is set once the first eight
/// bytes in memory are `code`.
struct HeapFunction {
  HeapRole role = HeapRole::allocate;
  std::uint64_t address = 0;
  std::uint64_t code = 0;
  template <typename A>
  void fields(A& a) {
    a.enumeration(role, HeapRole::release);
    a(address, code);
  }
};

/// Asks for the book of the heap blocks of each address space in which the functions are. Not together
/// with a step window.
struct HeapSpec {
  std::vector<HeapFunction> functions;
  std::uint64_t max_calls = 0;  ///< after so many the breakpoints go, and the book is not complete
  template <typename A>
  void fields(A& a) {
    a.list(functions, kMaxHeapFunctions);
    a(max_calls);
  }
};

/// Asks for a step window that begins at the newest entry of an activation, whichever entry that
/// is: each that looks right is stepped, and thrown away when it returns or the next one comes.
struct ActivationSpec {
  struct Entry {
    std::uint8_t probe = 0;  ///< index into Spec::probes: an execute probe of one thread
    std::uint64_t sp = 0;    ///< rsp at the entry
    template <typename A>
    void fields(A& a) {
      a(probe, sp);
    }
  };
  std::vector<Entry> entries;  ///< innermost first, then its callers
  std::uint64_t syscalls_from =
      0;  ///< entries after fewer system calls of the thread are not stepped
  std::uint32_t outer_steps =
      0;                     ///< a caller is stepped so far at most, up to the innermost's entry
  std::uint64_t budget = 0;  ///< instructions stepped altogether; then none is any more
  template <typename A>
  void fields(A& a) {
    a.list(entries, kMaxActivations);
    a(syscalls_from, outer_steps, budget);
  }
};

struct Spec {
  static constexpr Type type = Type::spec;
  std::int32_t first_thread = 0;
  std::vector<Unit> units;
  std::vector<Probe> probes;
  Mark end;
  std::optional<Mark> begin;  ///< of the step window
  std::uint32_t max_steps = 0;    ///< kept
  std::uint64_t step_budget = 0;  ///< a window that takes more ends the pass (too_many_hits)
  bool map_events = false;
  std::uint64_t max_hits = 0;
  std::uint64_t stop_budget = 0;  ///< more stops at debug registers end the pass (too_many_hits); 0: none
  std::optional<HeapSpec> heap;
  std::optional<ActivationSpec> activation;  ///< not together with `begin` or `heap`
  template <typename A>
  void fields(A& a) {
    a(first_thread);
    a.list(units, kMaxUnits);
    a.list(probes, kMaxProbes);
    a(end, begin, max_steps, step_budget, map_events, max_hits, stop_budget, heap, activation);
  }
};

/// The recorded clones, forks and vforks, in trace order: the n-th one of a parent in the replay is
/// the n-th one of that parent here.
struct Clones {
  static constexpr Type type = Type::clones;
  struct Entry {
    std::int32_t parent = 0, child = 0;
    bool same_process = false, same_memory = false;
    template <typename A>
    void fields(A& a) {
      a(parent, child, same_process, same_memory);
    }
  };
  std::vector<Entry> entries;
  template <typename A>
  void fields(A& a) {
    a.list(entries, kTableChunk);
  }
};

/// Recorded writes of the kernel that overlap a write probe, in trace order.
struct KernelWrites {
  static constexpr Type type = Type::kernel_writes;
  struct Entry {
    std::int32_t thread = 0;    ///< whose system call (or signal) it was
    std::int32_t target = 0;    ///< a thread of the process that was written to
    std::uint64_t ordinal = 0;  ///< system call entries of `thread` so far
    KernelCause cause = KernelCause::syscall;
    std::int32_t number = 0;  ///< system call or signal
    std::int64_t result = 0;
    std::uint16_t probes = 0;  ///< bit i: overlaps probe i
    template <typename A>
    void fields(A& a) {
      a(thread, target, ordinal);
      a.enumeration(cause, KernelCause::unknown);
      a(number, result, probes);
    }
  };
  std::vector<Entry> entries;
  template <typename A>
  void fields(A& a) {
    a.list(entries, kTableChunk);
  }
};

struct ReadMemory {
  static constexpr Type type = Type::read_memory;
  std::uint64_t address = 0;
  std::uint32_t length = 0;  ///< <= kMaxRead
  template <typename A>
  void fields(A& a) {
    a(address, length);
  }
};

struct ReadRegisters {
  static constexpr Type type = Type::read_registers;
  std::int32_t thread = 0;
  template <typename A>
  void fields(A& a) {
    a(thread);
  }
};

struct FindHeapBlocks {
  static constexpr Type type = Type::find_heap_blocks;
  std::uint64_t address = 0;
  template <typename A>
  void fields(A& a) {
    a(address);
  }
};

/// Messages without fields.
template <Type T>
struct Empty {
  static constexpr Type type = T;
  template <typename A>
  void fields(A&) {}
};
using Start = Empty<Type::start>;
using ListThreads = Empty<Type::list_threads>;
using ReadMaps = Empty<Type::read_maps>;
using GoOn = Empty<Type::go_on>;
using Finish = Empty<Type::finish>;

// ------------------------------------------------------------------------------- frames

/// Appends `message` as one frame.
template <typename M>
void append_frame(std::vector<std::uint8_t>& out, const M& message) {
  const std::size_t start = out.size();
  out.resize(start + 4);
  out.push_back(static_cast<std::uint8_t>(M::type));
  Writer writer(out);
  const_cast<M&>(message).fields(writer);
  const std::uint32_t length = static_cast<std::uint32_t>(out.size() - start - 4);
  std::memcpy(out.data() + start, &length, 4);
}

/// The message of a frame's payload (without length and type); nothing if it is malformed.
template <typename M>
std::optional<M> parse_payload(std::span<const std::uint8_t> payload) {
  M message;
  Reader reader(payload);
  message.fields(reader);
  if (!reader.complete()) return std::nullopt;
  return message;
}

/// A frame found at the front of a byte stream.
struct FrameView {
  Type type{};
  std::span<const std::uint8_t> payload;
  std::size_t size = 0;  ///< bytes of the stream that it takes
};

enum class FrameState : std::uint8_t { complete, partial, malformed };

/// Looks for one frame at the front of `stream`.
inline FrameState next_frame(std::span<const std::uint8_t> stream, FrameView& frame) {
  if (stream.size() < 4) return FrameState::partial;
  std::uint32_t length = 0;
  std::memcpy(&length, stream.data(), 4);
  if (length == 0 || length > kMaxFrame) return FrameState::malformed;
  if (stream.size() - 4 < length) return FrameState::partial;
  frame.type = static_cast<Type>(stream[4]);
  frame.payload = stream.subspan(5, length - 1);
  frame.size = std::size_t{4} + length;
  return FrameState::complete;
}

}  // namespace culprit::agent::wire
