// What `rr dump` tells about a trace, read once and kept compactly: the frames in order, the tasks,
// the mappings, and which frames wrote which memory from outside.
//
// Source of the format: `rr dump -p -m -e DIR` of rr 5.6.0 (Debian 5.6.0-2), observed, and
// src/DumpCommand.cc and src/TraceFrame.cc of rr-debugger/rr. One frame is
//
//   {
//     real_time:1047.8 global_time:20, event:`SYSCALL: mmap' (state:EXITING_SYSCALL) tid:3080,
//     ticks:0
//   rax:0x7fdca10ad000 rbx:0x140 ... rip:0x... eflags:0x246 ... orig_rax:0x9 fs_base:0x0
//   gs_base:0x0
//     TraceTaskEvent::CLONE tid=3081 parent=3080 clone_flags=0x3d0f00
//     { map_file:"<ZERO>", addr:0x..., length:0x2000, prot_flags:"rw-p", file_offset:0x0, device:0,
//       inode:0, data_file:"", data_offset:0x0, file_size:0x2000 }        (one line)
//     { tid:3080, addr:0x7fffca88d0f8, length:0x340 }                      (`length:(nil)` is zero)
//   }
//
// Facts that the parser relies on:
// * `event` is SYSCALL (with a state), SIGNAL, SIGNAL_DELIVERY, SIGNAL_HANDLER (each with a signal
// name
//   and "(det)" or "(async)"), EXIT, INSTRUCTION_TRAP, SCHED, SYSCALLBUF_*, ...; unknown ones are
//   kept as FrameKind::other.
// * A system call's own number is orig_rax; the argument registers at its exit still hold the
// arguments.
// * The trace begins before the first exec: rr's child makes a few system calls of its own, and the
//   replay repeats them.
// * TraceTaskEvent::EXIT carries the wait status (512: exit code 2; 11: killed by SIGSEGV); a
// clone's
//   CLONE line stands in the frame of the parent's system call ENTRY.
// * The registers are printed with -m (recorded metadata) only where they were recorded.
//
// Everything here is untrusted input: lines, frames, tasks, mappings are bounded (see limits
// below), and a line that cannot be parsed is counted and skipped, never an error by itself.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "replay/replay.h"

namespace culprit::replay {

/// What a frame of the trace is.
enum class FrameKind : std::uint8_t {
  syscall_entry,     ///< number = system call
  syscall_exit,      ///< number = system call
  signal,            ///< a signal arrived; number = signal
  signal_delivery,   ///< it was delivered without a handler (ignored, or fatal); number = signal
  signal_handler,    ///< its handler was set up; number = signal
  instruction_trap,  ///< rr emulated an instruction (cpuid, rdtsc)
  sched,             ///< a preemption (PMU traces)
  exit,              ///< the task ended
  other,             ///< anything else (syscallbuf flushes, patching, ...)
};

/// One frame, in trace order.
struct Frame {
  static constexpr std::uint32_t no_registers = 0xffffffff;
  EventNumber event;
  ThreadId thread;
  std::int32_t number = -1;                ///< see FrameKind; -1: none
  std::uint32_t registers = no_registers;  ///< index for TraceIndex::registers_of; kept for system
                                           ///< call exits, the last entry of a task, and signals
  FrameKind kind = FrameKind::other;
  bool deterministic = false;  ///< signals: raised by the instruction itself
};

/// The registers of a frame that matter to system calls and signals.
struct FrameRegisters {
  std::array<std::uint64_t, 6> arguments{};  ///< rdi rsi rdx r10 r8 r9
  std::int64_t result = 0;                   ///< rax
  std::uint64_t rip = 0;
  std::uint64_t rsp = 0;
};

/// A thread's life in the trace.
struct TraceThread {
  ThreadId thread;
  ProcessId process;
  ThreadId parent;      ///< the cloning thread; 0 for the first one
  EventNumber created;  ///< the parent's system call entry; the first frame for the first
  EventNumber ended;    ///< 0 if the trace does not show its end
  std::optional<int> wait_status;  ///< as waitpid() gives it
  std::uint64_t syscalls = 0;      ///< system call entries in the whole trace
  std::string executable;          ///< as of its last exec; empty before the first
};

/// A fork, vfork or clone.
struct TraceClone {
  EventNumber event;
  ThreadId parent;
  ThreadId child;
  std::uint64_t flags = 0;  ///< CLONE_* bits (linux/sched.h)
};

/// An execve that succeeded. All other threads of the process are gone after it.
struct TraceExec {
  EventNumber event;
  ThreadId thread;
  std::string file;
};

/// A mapping that rr recorded with a frame (mmap, mremap, exec, brk, shmat).
struct TraceMapping {
  EventNumber event;
  ThreadId thread;
  ByteRange range;
  std::uint64_t file_offset = 0;
  std::uint64_t data_offset = 0;
  std::uint64_t file_size = 0;
  std::uint32_t path = 0;       ///< string ids: TraceIndex::string_of
  std::uint32_t data_file = 0;  ///< the copy inside the trace; the empty string if none was needed
  std::array<char, 4> prot{};   ///< as in /proc/PID/maps: "rw-p"
};

/// Memory that rr wrote (a system call's results, a signal frame, ...), not an instruction.
struct KernelWrite {
  EventNumber event;
  ThreadId thread;  ///< of the frame: whose doing it was
  ThreadId target;  ///< a thread of the process whose memory was written; nearly always the same
  ByteRange range;
};

/// What stands behind an address.
enum class MappingKind : std::uint8_t { file, anonymous, stack, heap, vdso, recorder, other };

/// One mapping of a process at some moment.
struct Mapping {
  ByteRange range;
  bool readable = false, writable = false, executable = false, shared = false;
  MappingKind kind = MappingKind::other;
  std::uint64_t file_offset = 0;  ///< of range.start in the file; file mappings only
  std::string path;               ///< the original path; empty for anonymous memory
  std::filesystem::path
      bytes_from;  ///< where to read the file's bytes: the copy in the trace if there
                   ///< is one, else the original path; empty for anonymous memory
  std::uint64_t bytes_offset = 0;  ///< of range.start in `bytes_from`
  EventNumber created;             ///< the frame that made this mapping (a split keeps it)
};

/// How the program failed, from the frames alone.
struct CrashCandidate {
  enum class Kind : std::uint8_t {
    fatal_signal,  ///< a process was killed by a signal
    exit_code,     ///< a process ended with a non-zero status
  };
  Kind kind = Kind::exit_code;
  ThreadId thread;  ///< that got the signal, or called exit_group
  ProcessId process;
  EventNumber event;  ///< the SIGNAL frame, or the exit_group entry
  int signal = 0;
  bool deterministic = false;  ///< the signal was raised by an instruction (fault), not sent
  int exit_code = 0;
  std::uint64_t syscalls = 0;  ///< system call entries of the thread before the failure; exit_code:
                               ///< the ordinal of exit_group itself
  /// The moment of the failure, for a pass: the faulting stop, the return of the tgkill that sent
  /// the signal, or the entry of exit_group.
  Mark mark;
};

/// A write(2)-like call to a file descriptor.
struct OutputCall {
  EventNumber event;
  ThreadId thread;
  std::uint64_t ordinal = 0;  ///< Mark::syscall_entry's ordinal
  ByteRange buffer;           ///< write: the bytes; writev: the iovec array's address and its count
  bool vectored = false;      ///< writev
};

/// How to run rr.
struct RrCommand {
  std::filesystem::path rr = "rr";  ///< absolute, or looked up in PATH
  std::filesystem::path agent;      ///< the preloaded library; empty: none
  bool software_ticks = true;       ///< the agent gives rr its ticks (no PMU)
};

/// The index of one trace. Immutable after loading: may be shared between threads.
class TraceIndex {
 public:
  /// Upper bounds of what is kept; a trace beyond them is refused (bad_input).
  struct Limits {
    std::size_t frames = 64'000'000;
    std::size_t mappings = 4'000'000;
    std::size_t writes = 64'000'000;
    std::size_t tasks = 1'000'000;
    std::size_t line_length = 1 << 20;  ///< longer lines are cut
  };

  /// Runs `rr dump -p -m -e` on the trace and parses its output. Errors: replay_failed (rr could
  /// not read it; its last line is in the message), timeout, bad_input (no frames, beyond the
  /// limits), io.
  [[nodiscard]] static Result<TraceIndex> load(const std::filesystem::path& trace_dir,
                                               const RrCommand& command,
                                               std::chrono::milliseconds deadline,
                                               const Limits& limits);
  [[nodiscard]] static Result<TraceIndex> load(
      const std::filesystem::path& trace_dir, const RrCommand& command,
      std::chrono::milliseconds deadline = std::chrono::milliseconds{60'000}) {
    return load(trace_dir, command, deadline, Limits{});
  }

  TraceIndex(TraceIndex&&) noexcept;
  TraceIndex& operator=(TraceIndex&&) noexcept;
  ~TraceIndex();

  /// All frames, by ascending event number.
  [[nodiscard]] std::span<const Frame> frames() const;
  /// The frame with this number; null if there is none.
  [[nodiscard]] const Frame* frame(EventNumber event) const;
  /// The registers kept for a frame; null if none were.
  [[nodiscard]] const FrameRegisters* registers_of(const Frame& frame) const;
  [[nodiscard]] std::string_view string_of(std::uint32_t id) const;

  /// The thread that the trace begins with.
  [[nodiscard]] ThreadId first_thread() const;
  /// All threads in order of creation.
  [[nodiscard]] std::span<const TraceThread> threads() const;
  [[nodiscard]] const TraceThread* thread(ThreadId thread) const;
  /// The distinct processes in order of creation.
  [[nodiscard]] std::vector<ProcessId> processes() const;
  [[nodiscard]] std::span<const TraceClone> clones() const;
  [[nodiscard]] std::span<const TraceExec> execs() const;
  [[nodiscard]] std::span<const TraceMapping> mappings() const;
  [[nodiscard]] std::span<const KernelWrite> kernel_writes() const;

  /// The frame of a thread's `ordinal`-th system call entry (from 1); 0 if there is none, or if its
  /// number is not `expected_number` (when given).
  [[nodiscard]] EventNumber event_of_syscall_entry(
      ThreadId thread, std::uint64_t ordinal,
      std::optional<std::uint64_t> expected_number = std::nullopt) const;
  /// The frame in which that system call returned; 0 if it never did.
  [[nodiscard]] EventNumber event_of_syscall_exit(ThreadId thread, std::uint64_t ordinal) const;
  /// System call entries of `thread` in frames up to and including `event`.
  [[nodiscard]] std::uint64_t syscalls_until(ThreadId thread, EventNumber event) const;
  /// The best known frame for a position of a pass: that of the thread's last system call entry
  /// (the first frame of the thread before any); 0 if the thread is unknown.
  [[nodiscard]] EventNumber event_of(const Position& position) const;

  /// Frames with from <= event <= to in which rr wrote memory that overlaps `range` (in any
  /// process: callers check KernelWrite::target). In order.
  [[nodiscard]] std::vector<KernelWrite> writers_of(ByteRange range, EventNumber from,
                                                    EventNumber to) const;

  /// The mappings of a process after the frame `event` (0: at the end of the trace), by address,
  /// built by folding exec, mmap, munmap, mremap, mprotect, brk, fork and shmat/shmdt.
  [[nodiscard]] std::vector<Mapping> maps_at(EventNumber event, ProcessId process) const;

  /// How the program failed, best candidate first: processes killed by a signal, then non-zero
  /// exits; within each the latest frame first. Empty if every process ended well.
  [[nodiscard]] std::vector<CrashCandidate> crash_candidates() const;
  /// write/writev calls to `fd`, in order, of any process.
  [[nodiscard]] std::vector<OutputCall> output_calls(int fd) const;

  /// Lines that looked like nothing known (0 for rr 5.6.0).
  [[nodiscard]] std::size_t skipped_lines() const;
  /// A frame has a tick count other than 0: the trace was made with a hardware counter.
  [[nodiscard]] bool has_ticks() const;

 private:
  friend class TraceIndexParser;
  struct Data;
  explicit TraceIndex(std::unique_ptr<Data> data);
  /// A handler that resets its signal and returns (Rust's) makes the instruction fault once more; rr does not
  /// run the thread for that second time, which its registers describe already. The fault as it came first.
  [[nodiscard]] const Frame& first_fault(const Frame& fault) const;
  std::unique_ptr<Data> data_;
};

/// Parses the text of `rr dump -p -m -e`, fed in pieces of any size.
class TraceIndexParser {
 public:
  explicit TraceIndexParser(TraceIndex::Limits limits = {});
  ~TraceIndexParser();
  TraceIndexParser(const TraceIndexParser&) = delete;
  TraceIndexParser& operator=(const TraceIndexParser&) = delete;

  /// The next piece of text. Errors: bad_input beyond the limits (parsing cannot go on).
  [[nodiscard]] Status feed(std::string_view text);
  /// The end of the text. Errors: bad_input (no frames at all).
  [[nodiscard]] Result<TraceIndex> finish();

 private:
  struct State;
  // Each takes one kind of line and returns whether it could be understood.
  void line(std::string_view text);
  bool header(std::string_view text);
  bool register_line(std::string_view text);
  bool task_event(std::string_view text);
  bool mapping(std::string_view text);
  bool memory_write(std::string_view text);
  void add_thread(ThreadId thread, ProcessId process, ThreadId parent, EventNumber event);

  std::unique_ptr<TraceIndex::Data> data_;
  std::unique_ptr<State> state_;
  TraceIndex::Limits limits_;
  std::string partial_;
  std::optional<Error> error_;
};

}  // namespace culprit::replay
