// Private to provenance/: one triage, and everything that its steps share.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crash/crash_report.h"
#include "provenance/abort_scene.h"
#include "provenance/crash_scene.h"
#include "provenance/engine.h"
#include "provenance/hops.h"
#include "provenance/kernel_input.h"
#include "provenance/last_writer.h"
#include "provenance/library_contract.h"
#include "provenance/pointer_origin.h"
#include "provenance/process_image.h"
#include "provenance/region_life.h"
#include "provenance/source_passes.h"
#include "provenance/start_block.h"
#include "provenance/window_answers.h"

namespace culprit::provenance {

namespace testing {
class ChainBench;
}

/// `size` bytes of a value from byte `offset` on.
[[nodiscard]] inline std::uint64_t low_bytes(std::uint64_t value, std::uint32_t offset,
                                             std::uint32_t size) {
  if (offset >= 8) return 0;
  value >>= 8 * offset;
  return size >= 8 ? value : value & ((std::uint64_t{1} << (8 * size)) - 1);
}

/// Where the chain stands: the slot to explain next, as the last hop's reader saw it.
struct Link {
  Slot slot;
  SourcePlace place;
  replay::Mark before;

  /// The load that read the slot, if it is known: its stack, and the pointer that it went through.
  struct Reader {
    Moment moment;
    std::size_t frame = 0;
    Address pc;
    std::optional<Gpr> pointer;  ///< the register that held it
    bool in_allocator = false;  ///< the allocator's own code: it may read what is free
  };
  std::optional<Reader> reader;
};

using Clock = std::chrono::steady_clock;

/// A search for a writer, and what it found.
struct PastSearch {
  ProcessId process;
  Slot slot;
  replay::Mark before;
  std::optional<Activation> owner;
  bool with_heap = false;
  LastWriter found;
};

/// One triage. Holds everything that its steps share.
class Chain {
 public:
  Chain(replay::Replay& replay, const replay::TraceIndex& index, const TriageOptions& options)
      : replay_(replay),
        index_(index),
        options_(options),
        started_(Clock::now()),
        deadline_(started_ + options.first_timeout()) {}

  Result<report::Report> run();

 private:
  friend class testing::ChainBench;

  Status pick_crash();
  /// What the program said of the failure at candidate_.
  void read_crash_text();
  Status pick_point();
  [[nodiscard]] binary::DebugFileSearch debug_files() const;
  /// The image of a process at an event: made once, and kept to the end.
  ProcessImage& image_at(ProcessId process, EventNumber event);
  void pick_suspect();
  Status find_first_link();
  /// The moment that the user named, in place of a crash (chain_question.cc).
  Status pick_asked_moment();
  Status begin_at_question();
  void follow();
  bool step();  ///< one writer; false when the chain has ended

  Result<ResolvedSource> resolve(const Moment& moment, const ValueQuestion& question,
                                 const ValueSource& source, const std::optional<SourcePlace>& place,
                                 std::uint64_t value);
  /// The same for the bytes that a writer put into the link's slot: a copying function is taken by its
  /// contract.
  Result<ResolvedSource> resolve_stored(const ValueQuestion& question, const WriterHit& writer);
  /// find_last_writer(), asked once for each slot and moment.
  Result<LastWriter> last_writer(const Slot& slot, const replay::Mark& before,
                                 const std::optional<Activation>& owner, bool with_heap,
                                 const Moment* reader = nullptr);
  void resolve_origin(WriterHit& writer, ResolvedSource& resolved, const Slot& slot);
  void no_writer(const LastWriter& found);
  /// What else was at the addresses of a mapping before, if anything was.
  void add_earlier_life(report::Hop& hop, const replay::Position& position) const;
  /// The writer is a collector's sweep: ends the chain with what hid the block from the collector.
  bool given_up_by_collector(const LastWriter& found, const ResolvedSource& resolved);
  void add_kept_reference(const Link::Reader& reader);
  void add_change_of_owner(Address hidden, const std::vector<RegionTime>& life,
                           const Moment& registered);
  void mark_ended_thread(report::Hop& hop, EventNumber swept) const;
  /// Adds the system call that unmapped what the crash touched, if there was one.
  void explain_unmapped();
  [[nodiscard]] bool stack_is_full() const;
  /// The chain begins in what a program that stopped itself had in hand.
  void begin_at_abort(report::Suspect& out);
  /// The chain begins at a check of the program's own that failed. False: which one is not known.
  Result<bool> begin_at_guard(report::Suspect& out);
  /// The same, for the pointer that a checker of the runtime stopped at. False: it was none.
  Result<bool> begin_at_checker(report::Suspect& out);
  /// The same, for the mark in a Go map that another goroutine had set. False: it was none.
  Result<bool> begin_at_map(report::Suspect& out);
  void begin_at_release(const AbortScene& scene, report::Suspect& out);
  [[nodiscard]] std::optional<report::Location> object_taken(const ResolvedSource& made,
                                                            const Moment& later,
                                                            std::uint64_t value) const;
  /// Adds how the pointer to a dead frame came to be used, and, if a longjmp ended that frame, that one.
  void explain_dead_frame(const Link::Reader& reader, Address slot);
  /// If a null came out of an allocator: what that had been asked for, as a side branch.
  void add_asked_size(const ResolvedSource& null, const Moment& user);
  bool came_from_allocator(const ResolvedSource& resolved, const Moment& user);
  /// Adds `hop` on a side branch, as an explanation of hop `parent`. Its place in the report.
  std::uint32_t add_side(report::Hop hop, std::uint32_t parent);
  /// Goes on at a source, or ends the chain where it was born. False: ended.
  bool go_on(const ResolvedSource& resolved, const Moment& moment, const binary::CodeLocation& code,
             std::uint64_t value);

  /// Where the writer wrote only a part of the slot, the chain goes on with that part; who wrote the other
  /// bytes is told on a side branch.
  void narrow_to_written(WriterHit& writer);
  std::optional<report::Hop> explain_rest(const Slot& whole, const ByteRange& part,
                                          const WriterHit& writer);
  /// Adds the hop of a writer of the link's slot, and the side branch that begins there.
  void add_writer(const WriterHit& writer, const ResolvedSource& resolved);
  /// If what the crash read was computed as a number: how the pointer came to lead there.
  void check_pointer_to_number();
  /// If the crash read a living variable through a pointer: how that came to point there.
  void check_pointer_into_frame();
  /// Of an index that the code at the crash computed: what a loop compared it with, as a side branch.
  void add_way_of_bound(const ResolvedSource& index, const Moment& moment);
  /// The same for an argument of a call of the allocator's, at whose entry `call` is.
  void add_way_of_argument(const Moment& call, Gpr argument, bool number, std::uint32_t parent,
                           std::string_view what);
  /// How the pointer came to the call that freed a block first; `release` is that hop.
  void add_first_release(const replay::HeapBlock& block, std::uint32_t release);
  /// Where the size of a block came from; `allocation` is the hop of the block.
  void add_size_of_block(const replay::HeapBlock& block, const replay::Mark& before,
                         std::uint32_t allocation);
  /// What a function of the library was told to write by whom, and where that length came from; `store` is the hop
  /// of what it wrote.
  void add_length_of_call(const BufferCall& call, std::uint32_t store);
  /// What the crash read through a pointer, and where pointers were kept: variables whose scope has ended?
  void explain_ended_scopes();
  /// How the reader came by the pointer to the slot: a side branch of the crash. Once in a triage.
  void add_way_of_pointer(const Link::Reader& reader);
  /// The same for a pointer whose source at a moment is known; the branch begins at hop `parent`.
  void follow_pointer(ResolvedSource source, Moment moment, std::uint64_t value, std::uint32_t parent);
  /// Follows a value through the memories that it was kept in, as a side branch: "the index".
  void follow_copies(ResolvedSource source, Moment moment, std::uint64_t value, std::uint32_t parent,
                     std::string_view what);
  /// Says who read the value and returned it to `user`, if somebody did.
  void add_load(const ResolvedSource& resolved, const binary::CodeLocation& user, std::uint64_t value);
  /// The kernel's or a mapping's bytes. True: they came from where the chain goes on.
  bool end_at_kernel(const WriterHit& writer, const ResolvedSource& resolved);
  /// Where the bytes had been that a system call brought into the slot; the chain goes on there: true.
  bool follow_older_bytes(const WriterHit& change);
  /// Nothing wrote the slot since the process was forked with it: goes on in its parent.
  bool follow_fork();
  /// Another process that has the slot's memory mapped wrote it last: goes on there.
  bool follow_shared_memory();
  /// Looks at a moment of another process where the slot must hold its value; makes the hop and the
  /// link of it. False: it does not hold it then, or the moment is not reached.
  bool stand_in(ProcessImage& there, const replay::Mark& mark, const Slot& slot, report::Hop& hop,
                Link& link);
  /// The newest store of an instruction into the slot, as a side branch of the hop `parent`.
  void add_last_store(const replay::Mark& until, std::uint32_t parent);

  /// Which argument or environment variable the address is of. One pass.
  std::optional<StartBlockPart> part_of_start_block(const replay::Mark& exec, Address address);

  /// Names the descriptor, path and position in `hop`, the hop of a system call that wrote the link's slot.
  /// Where a recorded process had written the bytes, the hop says so, and the chain goes on there: true.
  bool follow_input(const WriterHit& writer, report::Hop& hop);
  bool cross_to(const KernelInput& input, const Slot& slot);

  /// Of a slot that was never written in its owner's life: a write of another part of that object, if there
  /// was one, as a side branch.
  void add_write_beside(const report::Location& about, const std::optional<Activation>& owner,
                        const Slot& slot, const replay::Mark& before);

  // What became of the objects: each returns true if it has ended the chain.
  bool lifetimes(const LastWriter& found, ResolvedSource& resolved);
  bool written_after_release(const LastWriter& found, const ResolvedSource& resolved);
  bool read_after_release(const LastWriter& found, const ResolvedSource& resolved);
  bool never_written_in_block(const LastWriter& found, ResolvedSource& resolved);
  bool read_through_old_pointer(const LastWriter& found, const ResolvedSource& resolved);
  bool written_through_bad_pointer(const LastWriter& found, const ResolvedSource& resolved);
  /// What a store was meant for, when that is not what it went into: an object, or a block freed since.
  struct MeantElsewhere {
    std::optional<ObjectBounds> intended;
    std::optional<replay::HeapBlock> old;
    bool by_reader = false;  ///< `intended` is an array only in the types that the reader knows
    bool by_length = false;  ///< `intended` is an array that the length of the call does not fit
    std::optional<BufferCall> call;  ///< of the library's function that made the store
  };
  /// `reader`: who read what was stored at `stored`; null if that is not known.
  MeantElsewhere meant_elsewhere(const WriterHit& writer, Address stored, const Link::Reader* reader);
  std::optional<ObjectBounds> array_by_reader(const Link::Reader* reader, std::uint64_t pointer,
                                              Address stored, const std::vector<SeenObject>& seen);
  void add_intended(const MeantElsewhere& meant, const Slot& stored);
  /// If the store was the last step of a run over the object: the step before, as a side branch.
  void add_step_before_end(const WriterHit& writer, const ObjectBounds& object, std::uint32_t store);
  void expect_ways_of_store(const WriterHit& writer);
  /// Where the index of an indexed store came from: a side branch of the store's hop.
  void add_way_of_index(const WriterHit& writer, std::uint32_t store);
  bool through_overwritten_pointer(const LastWriter& found, const ResolvedSource& resolved);
  /// The block that a pointer was made for, if it is another one than the block that is there now.
  Result<std::optional<replay::HeapBlock>> block_of_old_pointer(ResolvedSource pointer,
                                                                std::uint64_t value, Moment moment,
                                                                const replay::HeapBlocks& now);
  void born(const ResolvedSource& resolved, const binary::CodeLocation& writer, std::uint64_t value);
  void stop(report::StopReason reason, std::string detail = {});
  void stop(const Error& error);
  void begin_phase(std::string name);
  /// Sets the timeout by what the phase that ends now, one pass, has taken, if it may grow.
  void learn_timeout();
  [[nodiscard]] std::chrono::milliseconds remaining() const;
  [[nodiscard]] bool use_slot(std::optional<std::uint64_t> value);
  void notice_in_program();

  replay::Replay& replay_;
  const replay::TraceIndex& index_;
  const TriageOptions& options_;
  Clock::time_point started_;
  Clock::time_point deadline_;
  Clock::time_point phase_start_{};

  report::Report report_;
  replay::CrashCandidate candidate_;
  std::vector<std::unique_ptr<ProcessImage>> images_;  ///< of all processes that the chain came through
  ProcessImage* image_ = nullptr;  ///< of the one where it is now; the first is the one that failed
  CrashScene scene_;
  std::vector<crash::CrashReport> crashes_;
  const crash::CrashReport* crash_ = nullptr;
  std::string reporting_;  ///< the function that noticed, as the crash report names it
  std::optional<Link> link_;
  RevisitStyle style_;
  std::optional<report::Hop> side_;  ///< the writer of the slot's other bytes, not yet in the report
  std::uint64_t asked_alike_ = 1;    ///< moments that the one asked about cannot be told from
  bool ends_at_writer_ = false;      ///< who wrote the link's slot is all that is asked
  bool first_link_ = true;           ///< the link is the one that the crash itself read
  std::optional<report::ValueBytes> bytes_;  ///< of the suspect that the chain is about, if not all
  std::optional<Link::Reader> first_reader_;  ///< who read the first link's slot
  bool way_of_pointer_ = false;      ///< the report has it, or it was not found
  WindowAnswers answers_;
  std::vector<PastSearch> searches_;
  int pointers_checked_ = 0;  ///< stores whose pointer was followed with passes of its own
};

}  // namespace culprit::provenance
