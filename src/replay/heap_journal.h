// The heap's book for a replay that jumps about: a journal of all calls of the allocator's
// functions, from which the book of any moment is made.
//
// The forward engine's agent keeps its book as the program runs (agent/pass/allocation_log.h). Here
// one forward run over rr's gdb server, with breakpoints at the same functions and at the return
// addresses as they are seen, writes down what happened, and the book of a moment is the same
// AllocationLog after all entries before the moment. What is before is known by rr's event number
// and, between two events, by the tick count: only one thread runs there. Within one tick no
// conditional branch is executed, so the code runs straight on, and single steps from the moment
// tell whether the call still comes.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "agent/pass/allocation_log.h"
#include "agent/protocol.h"
#include "base/registers.h"
#include "base/result.h"
#include "replay/gdb_server/client.h"
#include "replay/replay.h"
#include "replay/trace_index.h"

namespace culprit::replay {

/// The journal of one process; what it inherited by a fork is in it. Not for use from several
/// threads at once.
class HeapJournal {
 public:
  using Clock = std::chrono::steady_clock;
  /// Journal entries before a moment: names the moment's book.
  using Place = std::size_t;

  /// Where the program stands: as Client tells it, before the instruction at registers.rip.
  struct Moment {
    EventNumber event;  ///< of the next frame
    std::uint64_t ticks = 0;
    Registers registers;
  };

  /// A part of the life of a process: its own, or that of the process that it was forked from.
  struct Part {
    gdb::Client* client = nullptr;  ///< of a server that is about this process
    ProcessId process;
    EventNumber from;   ///< behind this frame
    EventNumber until;  ///< up to this one; 0: to the end
  };

  /// Replays the parts, oldest first, and writes the journal. Afterwards the clients are anywhere,
  /// with stop points, or at the end: they have to be restarted. Gives up, with what it has, at
  /// spec.max_calls or at `enough`. Errors: those of the clients; timeout at `deadline`.
  [[nodiscard]] static Result<HeapJournal> write(std::span<const Part> parts,
                                                 const TraceIndex& index,
                                                 agent::wire::HeapSpec spec,
                                                 Clock::time_point enough,
                                                 Clock::time_point deadline);

  /// Is it about these functions?
  [[nodiscard]] bool is_about(const agent::wire::HeapSpec& spec) const;
  [[nodiscard]] bool given_up() const { return given_up_; }

  /// The place of a moment at which the client stands: before its instruction, or behind it if it
  /// is `executed`, which a call that the instruction begins or returns to is before. May step the
  /// client on: then the caller has to go back. Errors: those of the client; replay_failed (it
  /// cannot be told).
  [[nodiscard]] Result<Place> place_of(gdb::Client& client, const Moment& moment, bool executed,
                                       Clock::time_point deadline) const;
  /// A number for the `sequence` of positions there: above those of all calls before, and, with
  /// less than 2^20 added, below those of all calls behind.
  [[nodiscard]] static std::uint64_t sequence_at(Place place) { return std::uint64_t{place} << 20; }

  /// As LiveState::heap_blocks().
  [[nodiscard]] Result<HeapBlocks> blocks_at(Place place, Address address, ThreadId thread) const;

 private:
  /// One stop: at a return address, at a function's first instruction, or at both.
  struct Entry {
    Moment moment;
    std::int32_t thread = 0;
    std::optional<std::uint64_t> returned;      ///< what the pending call gives back
    std::optional<agent::wire::HeapCall> call;  ///< without an ordinal
  };

  class Writer;

  explicit HeapJournal(agent::wire::HeapSpec spec) : spec_(std::move(spec)) {}

  agent::wire::HeapSpec spec_;
  std::vector<Entry> entries_;
  std::optional<EventNumber> seen_from_;  ///< the first function is there behind this frame
  bool given_up_ = false;
  /// The book of the newest question: the next one is mostly later.
  mutable std::optional<agent::AllocationLog> book_;
  mutable Place book_at_ = 0;
};

}  // namespace culprit::replay
