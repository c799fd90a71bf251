// The reverse engine: passes answered by rr's own reverse execution, through its gdb server.
//
// A pass goes to its end mark at once (an event, or a checkpoint of a known hit), and searches its
// hits backwards from there with watchpoints and breakpoints, newest first. Needs a trace with
// ticks: one made with a hardware counter, or with exact ticks (agent/exact_ticks.h).
//
// How it differs from the forward engine, for the same PassSpec:
// - rr's write watchpoints compare bytes. Stores of the value that was there already are found by
// access
//   watchpoints, which also stop at each read; a system call's are not.
// - After `most_hits` hits, or its share of the pass's time, a search ends. The ordinals of what it
// found are then counted from
//   kUnknownOrdinal, the counts in PassResult are those of the found ones, and remarks() says so.
// - A mark of a probe's hit must be one that an earlier pass of this object has reported.
// - The heap's book is made from a journal of the allocator's calls (heap_journal.h), which one run
//   forward over the whole trace writes when a pass first asks for it.
// - There are no map events.
// - A change of memory that processes share is seen in the one that made it. In the others it is a
//   hit with no system call, at the newest stop before it.
// - rr's gdb server is about one process. Each process that a pass asks about has an rr of its own
//   (most_processes at most), and a probe must say whose it is, by its process or its thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "replay/gdb_server/rr_server.h"
#include "replay/heap_journal.h"
#include "replay/replay.h"
#include "replay/trace_index.h"

namespace culprit::replay {

/// What a ReverseReplay needs to know.
struct ReverseOptions {
  std::filesystem::path trace_dir;
  RrCommand command;
  std::shared_ptr<const TraceIndex> index;  ///< required
  std::string ticks = "hardware";           ///< for engine_name(): "hardware" or "exact"
  /// Does the instruction at the front of `code`, about to execute with these registers, store into
  /// `watched`? Decoding is another layer's; null: stores of the same value are not seen.
  using Stores = std::function<bool(std::span<const std::byte> code, const Registers& before,
                                    ByteRange watched)>;
  Stores stores;
  /// Most hits that one search looks for. Each is a run of rr backwards.
  std::size_t most_hits = 100;
  /// A search that has found something ends when it has used 1/time_share of the pass's time. Not
  /// 0.
  unsigned time_share = 4;
  std::shared_ptr<gdb::TranscriptLog> log;  ///< of all packets; may be null
  /// Connects to a server of that process that runs already; null: rr is started. Called again
  /// after a connection has failed.
  using Connect = std::function<Result<std::unique_ptr<gdb::Client>>(
      ProcessId process, std::chrono::milliseconds deadline)>;
  Connect connect;
};

/// Replay by reverse execution. Holds one rr for each process that was asked about, and checkpoints
/// in it; all is gone with this object. Not for use from several threads at once.
class ReverseReplay final : public Replay {
 public:
  static constexpr std::uint64_t kUnknownOrdinal = std::uint64_t{1} << 40;
  /// Processes of a trace that can be asked about: each costs a replay of its own.
  static constexpr std::size_t most_processes = 16;

  /// Can this trace be searched backwards? Errors: usage, with the reason.
  [[nodiscard]] static Status suits(const TraceIndex& index);
  /// Errors: usage (suits()), not_found (no trace).
  [[nodiscard]] static Result<std::unique_ptr<ReverseReplay>> open(ReverseOptions options);

  /// See Replay::run; bad_input where the pass asks for what this engine has not (map events, a
  /// probe of all of several processes, a window from one process to another, too many processes).
  [[nodiscard]] Result<PassResult> run(const PassSpec& spec, PassObserver& observer) override;
  [[nodiscard]] std::string engine_name() const override;
  /// What the passes so far could not know, one line each.
  [[nodiscard]] std::vector<std::string> remarks() const;

 private:
  friend class ReverseLiveState;
  using Clock = std::chrono::steady_clock;

  /// A stop of the backward search, in whose favour the state before it is kept as a checkpoint.
  struct Moment {
    std::uint32_t checkpoint = 0;
    gdb::ThreadName thread;
    Registers before;  ///< the instruction has not been executed
    std::uint64_t ticks = 0;
    EventNumber event;  ///< of the next frame
  };
  /// rr, serving one process.
  struct Session {
    std::unique_ptr<gdb::RrServer> server;
    std::unique_ptr<gdb::Client> connected;  ///< by options_.connect
    gdb::Client* client = nullptr;           ///< the server's, or that one
  };
  /// The first and the last frame of a process.
  struct Life {
    EventNumber first, last;
  };
  struct Found {
    std::size_t probe = 0;
    Probe watched;  ///< write: that probe
    std::shared_ptr<const Moment> moment;
    bool write = false;
    bool at_start = false;  ///< the exec that mapped the bytes: the forward engine's first hit
    bool matches = false;   ///< the filter
    bool before_known = false;
    std::uint64_t value_before = 0, value_after = 0;
    std::optional<HeapJournal::Place>
        place;  ///< known once a pass with the heap's book stood there
    Hit hit;    ///< as it is reported
  };
  /// Where a pass ends.
  struct End {
    gdb::ThreadName thread;
    Registers registers;      ///< as reported
    Registers before;         ///< before the instruction that reaches the end
    std::uint64_t ticks = 0;  ///< then
    EventNumber event;        ///< of the next frame, then
    EventNumber until;        ///< what other processes do belongs to the pass before this frame
    std::optional<HeapJournal::Place> place;
    bool by_instruction =
        false;  ///< the instruction at `before` belongs to a window that ends here
    bool about_to_execute = true;  ///< an execute probe on the instruction there was hit
    std::uint64_t syscalls = 0;
  };
  /// A search for the probes of one process.
  struct Search {
    const PassSpec* spec = nullptr;
    std::vector<std::size_t> probes;    ///< indices into spec->probes
    std::vector<std::uint64_t> values;  ///< of all probes, those of others unused
    std::vector<bool> known;
    std::vector<Found> found;  ///< newest first
  };

  explicit ReverseReplay(ReverseOptions options) : options_(std::move(options)) {}

  [[nodiscard]] Result<PassResult> run_pass(const PassSpec& spec,
                                            const std::optional<agent::wire::HeapSpec>& heap,
                                            PassObserver& observer);
  /// Makes `process` the one that client_ is about; its rr is started if there is none yet.
  [[nodiscard]] Status use(ProcessId process);
  [[nodiscard]] Result<ProcessId> process_of(const Mark& mark, const PassSpec& spec) const;
  /// Nothing for a probe that does not say, in a trace of several processes.
  [[nodiscard]] std::optional<ProcessId> process_of(const Probe& probe) const;
  /// client_ is that of `process` then.
  [[nodiscard]] Result<End> seek(const Mark& mark, ProcessId process);
  [[nodiscard]] Result<End> seek_event(EventNumber event, ThreadId thread);
  /// The hits before the end that the filters let through, in order of execution.
  [[nodiscard]] Result<std::vector<Found>> search(const PassSpec& spec, const End& end,
                                                  PassResult& result);
  /// Those of one process, from where its client stands. True if the search was ended early.
  [[nodiscard]] Result<bool> search_process(Search& search, const End* end);
  [[nodiscard]] Status set_probes(const Search& search);
  /// `accessed`: what an access watchpoint has stopped at.
  [[nodiscard]] Status note_stop(Search& search, std::optional<Address> accessed);
  /// At the beginning of the process: the hits of the exec that has mapped the watched bytes.
  [[nodiscard]] Status note_start(Search& search);
  [[nodiscard]] bool was_forked(ProcessId process) const;
  [[nodiscard]] Result<std::shared_ptr<Moment>> moment_here();
  /// Is it memory that other processes may have, too?
  [[nodiscard]] bool shares(ProcessId process, Address address) const;
  /// Stands behind the hit: after the store, or at the instruction of an execute probe.
  [[nodiscard]] Status stand_at(Found& found);
  static constexpr std::uint64_t code_page_size = 4096;
  using CodePage = std::vector<std::byte>;
  /// Is there a `syscall` instruction? `pages`: code that was read before.
  [[nodiscard]] Result<bool> is_system_call(Address pc, std::map<std::uint64_t, CodePage>& pages);
  /// Goes to where the thread's newest system call has returned, if that is `after_call`.
  [[nodiscard]] Status return_to_exit(const gdb::ThreadName& thread, Address after_call);
  [[nodiscard]] Result<StepWindow> step_window(const StepSpec& spec, const End& end);
  [[nodiscard]] Result<std::uint64_t> value_of(const Probe& probe, bool& known);
  [[nodiscard]] Position position(const gdb::ThreadName& thread, EventNumber next,
                                  std::optional<HeapJournal::Place> place);
  [[nodiscard]] std::uint64_t next_sequence(std::optional<HeapJournal::Place> place);
  /// Opens the heap's book of a process for this pass, or remembers why there is none.
  [[nodiscard]] Status open_book(const agent::wire::HeapSpec& spec, ProcessId process);
  [[nodiscard]] Result<HeapJournal> write_journal(const agent::wire::HeapSpec& spec,
                                                  ProcessId process);
  [[nodiscard]] std::chrono::milliseconds left() const;
  [[nodiscard]] Status forget_old_hits();

  ReverseOptions options_;
  std::map<ProcessId, Life> lives_;
  std::map<ProcessId, Session> sessions_;
  ProcessId current_;              ///< whose client client_ is
  gdb::Client* client_ = nullptr;  ///< null: none yet
  Clock::time_point deadline_;
  std::uint64_t sequence_ = 0;
  bool cut_ = false;
  std::map<ProcessId, std::optional<HeapJournal>> journals_;  ///< nothing: it cannot be written
  const HeapJournal* book_ = nullptr;                         ///< of this pass, if it asks for one
  ProcessId book_process_;                                    ///< whose it is
  std::string no_heap_;  ///< why a pass had no book, or not a whole one
  bool blind_ = false;   ///< stores of the same value were not looked for
  /// Hits that marks may name: by probe and ordinal.
  std::map<std::pair<std::string, std::uint64_t>, Found> hits_;
  std::vector<std::pair<std::string, std::uint64_t>> order_;  ///< oldest first
  /// Checkpoints that nothing refers to any more, to be deleted. Shared with the Moments that had
  /// them.
  using Unused = std::vector<std::pair<ProcessId, std::uint32_t>>;
  std::shared_ptr<Unused> unused_ = std::make_shared<Unused>();
};

}  // namespace culprit::replay
