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
// - Traces of one process only.
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
  /// Connects to a server that runs already; null: rr is started. Called again after a connection
  /// has failed.
  using Connect =
      std::function<Result<std::unique_ptr<gdb::Client>>(std::chrono::milliseconds deadline)>;
  Connect connect;
};

/// Replay by reverse execution. Holds one rr process from the first pass on, and checkpoints in it;
/// all is gone with this object. Not for use from several threads at once.
class ReverseReplay final : public Replay {
 public:
  static constexpr std::uint64_t kUnknownOrdinal = std::uint64_t{1} << 40;

  /// Can this trace be searched backwards? Errors: usage, with the reason.
  [[nodiscard]] static Status suits(const TraceIndex& index);
  /// Errors: usage (suits()), not_found (no trace).
  [[nodiscard]] static Result<std::unique_ptr<ReverseReplay>> open(ReverseOptions options);

  /// See Replay::run; bad_input where the pass asks for what this engine has not (map events).
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
    std::optional<HeapJournal::Place> place;
    bool by_instruction =
        false;  ///< the instruction at `before` belongs to a window that ends here
    bool about_to_execute = true;  ///< an execute probe on the instruction there was hit
    std::uint64_t syscalls = 0;
  };

  explicit ReverseReplay(ReverseOptions options) : options_(std::move(options)) {}

  [[nodiscard]] Result<PassResult> run_pass(const PassSpec& spec,
                                            const std::optional<agent::wire::HeapSpec>& heap,
                                            PassObserver& observer);
  [[nodiscard]] Status start();
  [[nodiscard]] Result<End> seek(const Mark& mark);
  [[nodiscard]] Result<End> seek_event(EventNumber event, ThreadId thread);
  [[nodiscard]] Result<std::vector<Found>> search(const PassSpec& spec, const End& end,
                                                  PassResult& result);
  [[nodiscard]] Status set_probes(const PassSpec& spec);
  /// `accessed`: what an access watchpoint has stopped at.
  [[nodiscard]] Status note_stop(const PassSpec& spec, std::optional<Address> accessed,
                                 std::vector<std::uint64_t>& values, std::vector<bool>& known,
                                 std::vector<Found>& found);
  /// At the beginning of the process: the hits of the exec that has mapped the watched bytes.
  [[nodiscard]] Status note_start(const PassSpec& spec, const std::vector<std::uint64_t>& values,
                                  const std::vector<bool>& known, std::vector<Found>& found);
  [[nodiscard]] Result<std::shared_ptr<Moment>> moment_here();
  /// Stands behind the hit: after the store, or at the instruction of an execute probe.
  [[nodiscard]] Status stand_at(Found& found);
  [[nodiscard]] Result<StepWindow> step_window(const StepSpec& spec, const End& end);
  [[nodiscard]] Result<std::uint64_t> value_of(const Probe& probe, bool& known);
  [[nodiscard]] Position position(const gdb::ThreadName& thread, EventNumber next,
                                  std::optional<HeapJournal::Place> place);
  [[nodiscard]] std::uint64_t next_sequence(std::optional<HeapJournal::Place> place);
  /// Opens the heap's book for this pass, or remembers why there is none.
  [[nodiscard]] Status open_book(const agent::wire::HeapSpec& spec);
  [[nodiscard]] std::chrono::milliseconds left() const;
  [[nodiscard]] Status forget_old_hits();

  ReverseOptions options_;
  std::unique_ptr<gdb::RrServer> server_;
  std::unique_ptr<gdb::Client> connected_;  ///< by options_.connect
  gdb::Client* client_ = nullptr;           ///< the server's, or that one
  Clock::time_point deadline_;
  std::uint64_t sequence_ = 0;
  bool cut_ = false;
  std::optional<HeapJournal> journal_;
  const HeapJournal* book_ = nullptr;  ///< of this pass, if it asks for one
  std::string no_heap_;                ///< why a pass had no book, or not a whole one
  bool blind_ = false;                 ///< stores of the same value were not looked for
  /// Hits that marks may name: by probe and ordinal.
  std::map<std::pair<std::string, std::uint64_t>, Found> hits_;
  std::vector<std::pair<std::string, std::uint64_t>> order_;  ///< oldest first
  /// Checkpoints that nothing refers to any more, to be deleted. Shared with the Moments that had
  /// them.
  std::shared_ptr<std::vector<std::uint32_t>> unused_ =
      std::make_shared<std::vector<std::uint32_t>>();
};

}  // namespace culprit::replay
