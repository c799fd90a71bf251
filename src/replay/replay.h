// The interface of a replay engine: passes over one recorded trace.
//
// A *pass* replays the trace once, from its start, with up to four debug-register probes set, and
// calls an observer at each hit. Replay is deterministic, so "the k-th hit of this probe" names the
// same moment in every pass; that, and "the n-th system call of thread T", is how moments are found
// again (see Mark). Nothing here knows what a hop means.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/registers.h"
#include "base/result.h"
#include "base/types.h"

namespace culprit::replay {

/// What a probe waits for.
enum class ProbeKind : std::uint8_t {
  write,    ///< any store that touches the range, silent stores (same value) too, kernel writes too
  execute,  ///< the instruction at the address is about to execute (not yet executed)
};

/// Matches the watched bytes after a write: (bytes & mask) == value, little endian.
struct ValueFilter {
  std::uint64_t value = 0;
  std::uint64_t mask = ~std::uint64_t{0};
};

/// One thing to watch for during a pass. A write range of 1–8 bytes at any alignment takes one
/// debug register if it is naturally aligned, else two (the aligned units that cover it); a hit in
/// a covering unit that does not touch the range itself may be reported: callers check the writer's
/// operands.
struct Probe {
  ProbeKind kind = ProbeKind::write;
  Address address;
  std::uint8_t size = 8;              ///< bytes watched (1–8); ignored for execute
  std::optional<ThreadId> thread;     ///< only hits of this thread count and are reported
  std::optional<ProcessId> process;   ///< only hits in this address space (thread group)
  std::optional<ValueFilter> filter;  ///< write only: other hits are counted (raw) but not reported
  /// Of the hits that match, report only the newest ones: the agent keeps this many and delivers
  /// them (oldest first, live == false) when the pass ends: at the end mark, before on_window() and
  /// on_end(), so that those can use them. 0: report each hit as it happens.
  std::uint32_t keep_last = 0;
  /// With keep_last == 0: stop the replay at each reported hit and call the observer with live
  /// access (registers, memory). Otherwise hits are reported without stopping (cheap).
  bool live = false;
};

/// A moment of the recorded execution that every pass can find again.
struct Mark {
  enum class Kind : std::uint8_t {
    end,        ///< the end of the trace
    probe_hit,  ///< the `ordinal`-th matching hit (from 1) of `probe` (its thread/process/filter
                ///< count)
    syscall_entry,  ///< thread `thread` is about to make its `ordinal`-th system call (from 1)
    syscall_exit,   ///< that system call has just returned (results are in memory and registers)
    signal_stop,    ///< thread `thread`, after its `ordinal`-th system call entry, stops with
                    ///< `signal`
  };
  Kind kind = Kind::end;
  Probe probe;                ///< probe_hit only
  ThreadId thread;            ///< the others
  std::uint64_t ordinal = 0;  ///< see kind
  int signal = 0;             ///< signal_stop only; 0 = any fatal signal
};

/// Where in the execution something happened. `thread` and `syscalls` are the same in each pass;
/// `sequence` orders the reports of ONE pass only.
struct Position {
  ThreadId thread;
  ProcessId process;
  std::uint64_t syscalls = 0;  ///< system call entries of this thread so far (0: before the first)
  std::uint64_t sequence = 0;  ///< strictly increasing over all reports of one pass
};

/// One hit of a probe.
struct Hit {
  std::size_t probe = 0;  ///< index into PassSpec::probes
  std::uint64_t ordinal =
      0;  ///< among the matching hits of this probe, from 1 (see Mark::probe_hit)
  std::uint64_t raw_ordinal = 0;  ///< among all hits of this probe, also those the filter dropped
  Position position;
  Registers registers;  ///< write: AFTER the store (rip past it, or at it inside a `rep`)
  std::uint64_t value_before =
      0;  ///< write: the watched bytes before, zero-extended; valid if known
  std::uint64_t value_after = 0;  ///< write: the watched bytes now
  bool before_known = false;
  bool live = false;  ///< the replay stands still at this hit: LiveState is usable
  /// Set when the change was made by the kernel (a system call's result) or by a mapping change,
  /// not by an instruction: rip is then at the system call's return.
  struct Kernel {
    std::uint64_t syscall = 0;  ///< x86-64 system call number
    std::array<std::uint64_t, 6> arguments{};
    std::int64_t result = 0;
    bool remapped = false;  ///< munmap/mmap/mremap/brk/... replaced the page
  };
  std::optional<Kernel> kernel;
};

/// A system call that changes the address space or the set of threads, in the order of execution.
struct MapEvent {
  Position position;
  std::uint64_t syscall =
      0;  ///< mmap, munmap, mremap, mprotect, brk, madvise, clone*, fork, execve, exit*
  std::array<std::uint64_t, 6> arguments{};
  std::int64_t result = 0;
};

/// Registers before each instruction of a step window, oldest first. The last entry's instruction
/// is the one that reached the end mark (the writer itself for a write mark).
struct StepWindow {
  ThreadId thread;
  bool truncated = false;  ///< the budget ran out: older instructions are missing
  std::vector<Registers> steps;
  Registers final_registers;  ///< after the last instruction
};

/// Single-step one thread from `begin` (a probe hit) to `end`, both in the same pass.
struct StepSpec {
  Mark begin;                        ///< stepping starts at this hit, in the thread that made it
  std::uint32_t max_steps = 50'000;  ///< at most this many instructions are kept: the newest
  /// A window that takes more than this ends the pass with bad_input: a step costs some 20 µs. 0: none.
  std::uint64_t budget = 0;
};

/// Single-steps an activation from its entry to the end mark, where it is known only which function
/// it is of and where its frame lies: the newest entry there that has not returned. Saves the pass
/// that would only count the entries.
///
/// Each entry that looks right is stepped, and forgotten when it returns or the next one comes, as
/// long as the budget lasts. So there may be no window in the end, and it may begin at an entry of
/// a caller's instead; the probes' hits tell then where one would begin. The reverse engine never
/// has one.
struct ActivationSpec {
  struct Entry {
    std::size_t probe = 0;  ///< index into PassSpec::probes: an execute probe of one thread
    Address sp;             ///< the stack pointer at the entry: the frame's CFA - 8
  };
  std::vector<Entry> entries;  ///< at most 4: the activation's, its caller's, and so on
  std::uint64_t syscalls_from =
      0;  ///< entries after fewer system calls of the thread are not stepped
  /// So many instructions of a caller are stepped at most before the next inner one's entry comes.
  std::uint32_t outer_steps = 0;
  std::uint32_t budget = 20'000;  ///< instructions stepped altogether: some 0.4 s
};

/// What a function of an allocator does: the C and POSIX signatures.
enum class HeapRole : std::uint8_t {
  allocate,          ///< void* f(size): malloc, valloc
  allocate_array,    ///< void* f(count, size): calloc
  resize,            ///< void* f(old, size): realloc
  resize_array,      ///< void* f(old, count, size): reallocarray
  allocate_aligned,  ///< void* f(alignment, size): aligned_alloc, memalign
  allocate_into,     ///< int f(void** result, alignment, size): posix_memalign
  release,           ///< void f(pointer): free
};

/// A function of an allocator in the recorded program.
struct HeapFunction {
  HeapRole role = HeapRole::allocate;
  std::string name;
  Address address;         ///< of its first byte
  std::uint64_t code = 0;  ///< its first eight bytes, little endian
};

/// Asks a pass to keep the book of the heap blocks: each call of these functions costs some 50 µs.
struct HeapSpec {
  std::vector<HeapFunction> functions;   ///< at most 64
  std::uint64_t max_calls = 50'000;      ///< after so many the book is given up
};

/// A call of an allocator's function, at its entry.
struct HeapCall {
  Position position;
  std::uint64_t ordinal = 0;     ///< among the process's calls, from 1: the same in each pass
  std::size_t function = 0;      ///< index into HeapSpec::functions
  Registers registers;           ///< rsp points to the return address
  std::vector<std::byte> stack;  ///< from rsp up, at most 1 KiB; may be empty for old calls
};

/// A heap block as the program asked for it.
struct HeapBlock {
  ByteRange range;  ///< a block of no bytes has one here
  HeapCall allocated;
  std::optional<HeapCall> released;
};

/// What the heap's book says of an address at a moment.
struct HeapBlocks {
  std::vector<HeapBlock> holding;  ///< hold the address, newest first, freed ones too; at most 8
  std::optional<HeapBlock> below;  ///< the nearest living block that ends at or below the address
  std::optional<HeapBlock> above;  ///< the nearest living block that begins above it
  std::vector<HeapCall> stray;     ///< newest releases of exactly this address where no block began
  /// The newest call of the thread that the stop belongs to; it may have returned.
  std::optional<HeapCall> current;
  bool complete = false;  ///< every call since the process's start was seen
};

/// What one pass must do.
struct PassSpec {
  std::vector<Probe> probes;
  Mark end;                      ///< the pass stops here (live), or at the end of the trace
  std::optional<StepSpec> step;  ///< the window ends at `end`
  std::optional<ActivationSpec> activation;  ///< as well; not together with `step` or `heap`
  bool map_events = false;       ///< report MapEvents
  std::optional<HeapSpec> heap;  ///< keep the heap's book; not together with `step`
  /// More hits than this, of all probes and marks together and whatever their filters say, end the pass
  /// with bad_input: a hit costs some 35 µs, and an inner loop makes millions. 0: none. (The reverse
  /// engine has limits of its own.)
  std::uint64_t stop_budget = 0;
  std::chrono::milliseconds deadline{60'000};
};

/// The stopped replay, valid only inside the observer call that it is passed to.
class LiveState : public MemoryReader {
 public:
  /// A thread of the stopped replay.
  struct Thread {
    ThreadId thread;
    ProcessId process;
  };
  /// Reads the memory of the process of the thread that the stop belongs to.
  [[nodiscard]] std::size_t read(Address address, std::span<std::byte> out) const override = 0;
  /// Registers of any live thread at this stop.
  [[nodiscard]] virtual Result<Registers> registers(ThreadId thread) const = 0;
  /// All live threads, in order of creation.
  [[nodiscard]] virtual Result<std::vector<Thread>> threads() const = 0;
  /// What is known of an address as heap memory. Errors: not_found if the pass keeps no book, or has seen
  /// none of the allocator's functions in this process.
  [[nodiscard]] virtual Result<HeapBlocks> heap_blocks(Address address) const {
    (void)address;
    return Error{ErrorCode::not_found, "this replay keeps no book of the heap"};
  }
  /// The text of /proc/PID/maps of the stopped process as the replay sees it (paths may be rr's
  /// copies inside the trace), at most 1 MiB.
  [[nodiscard]] virtual Result<std::string> maps() const = 0;
};

/// What to do after an observer call.
enum class Next : std::uint8_t { go_on, stop_pass };

/// Called during a pass, in the order of execution, on the caller's thread of run().
class PassObserver {
 public:
  virtual ~PassObserver() = default;
  /// `live` is null unless hit.live.
  virtual Next on_hit(const Hit& hit, const LiveState* live) {
    (void)hit, (void)live;
    return Next::go_on;
  }
  virtual void on_map_event(const MapEvent& event) { (void)event; }
  /// The step window is complete. Called at most once, before on_end(); PassResult::window holds
  /// the same window afterwards.
  virtual void on_window(const StepWindow& window) { (void)window; }
  /// The end mark was reached: the replay stands there. Called at most once, before run() returns;
  /// not called if the trace ended first.
  virtual void on_end(const Position& at, const Registers& registers, const LiveState& live) {
    (void)at, (void)registers, (void)live;
  }
};

/// What a finished pass tells besides what the observer saw.
struct PassResult {
  bool end_reached = false;  ///< PassSpec::end was reached (or the observer stopped the pass)
  std::vector<std::uint64_t> matches;   ///< per probe: matching hits
  std::vector<std::uint64_t> raw_hits;  ///< per probe: all hits
  /// Present iff `step` was asked for and its begin was reached; see also ActivationSpec.
  std::optional<StepWindow> window;
  std::chrono::microseconds elapsed{0};
};

/// A trace that can be replayed, any number of times.
class Replay {
 public:
  virtual ~Replay() = default;
  /// One pass. Errors: replay_failed (rr died or diverged; its stderr's last line is in the
  /// message), timeout, interrupted (base/signals.h), usage (more debug registers asked for than there are: a write range takes
  /// one or two, an execute probe one, an end mark or step begin that equals no probe takes its
  /// own).
  [[nodiscard]] virtual Result<PassResult> run(const PassSpec& spec, PassObserver& observer) = 0;
  /// A short name for reports: "software-ticks/forward".
  [[nodiscard]] virtual std::string engine_name() const = 0;
};

}  // namespace culprit::replay
