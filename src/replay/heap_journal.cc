#include "replay/heap_journal.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <span>
#include <tuple>
#include <utility>

#include "replay/heap_answer.h"

namespace culprit::replay {

namespace wire = agent::wire;
using gdb::Direction;
using gdb::StopPoint;
using gdb::StopPointKind;
using gdb::StopReply;
using std::chrono::milliseconds;

namespace {

/// Stops that are no calls: signals, mostly.
constexpr std::size_t most_other_stops = 10'000;
/// Of a stretch of code without a conditional branch.
constexpr int most_steps_in_a_tick = 5'000;

milliseconds until(HeapJournal::Clock::time_point deadline) {
  return std::max(milliseconds(1),
                  std::chrono::duration_cast<milliseconds>(deadline - HeapJournal::Clock::now()));
}

StopPoint breakpoint_at(std::uint64_t address) {
  return {StopPointKind::software_breakpoint, Address{address}, 1};
}

auto time_of(const HeapJournal::Moment& moment) {
  return std::pair(moment.event.value, moment.ticks);
}

}  // namespace

/// The forward run.
class HeapJournal::Writer {
 public:
  Writer(HeapJournal& journal, const TraceIndex& index, Clock::time_point enough,
         Clock::time_point deadline)
      : journal_(journal),
        index_(index),
        enough_(enough),
        deadline_(deadline),
        book_(journal.spec_.functions) {
    for (std::size_t i = 0; i < journal.spec_.functions.size(); ++i) {
      functions_[journal.spec_.functions[i].address] = static_cast<std::uint8_t>(i);
    }
  }

  Status run(const Part& part) {
    client_ = part.client;
    const std::int64_t end = part.until ? part.until.value : index_end();
    // A function can be stopped at from the frame on that has mapped it.
    std::set<std::int64_t> mapped;
    for (const Mapping& mapping : index_.maps_at(part.until, part.process)) {
      for (const auto& [address, function] : functions_) {
        if (!mapping.range.contains(Address{address})) continue;
        const std::int64_t from = std::max(mapping.created.value, part.from.value);
        if (from < end) mapped.insert(from);
      }
    }
    for (auto at = mapped.begin(); at != mapped.end() && !over_; ++at) {
      const auto next = std::next(at);
      CULPRIT_TRY(run_from(EventNumber{*at}, next != mapped.end() ? *next : end));
    }
    return {};
  }

 private:
  std::int64_t index_end() const { return index_.frames().back().event.value; }

  /// Journals what happens from behind the frame `from` up to the frame `last`.
  Status run_from(EventNumber from, std::int64_t last) {
    CULPRIT_TRY(client_->restart(from, until(deadline_)));
    CULPRIT_TRY(set_breakpoints(from));
    for (std::size_t other = 0; !over_;) {
      CULPRIT_ASSIGN(const StopReply stop, client_->resume(Direction::forward, until(deadline_)));
      if (stop.kind != StopReply::Kind::signal) return {};
      Moment here;
      CULPRIT_ASSIGN(here.event, client_->event());
      if (here.event.value > last) return {};
      CULPRIT_ASSIGN(here.registers, client_->registers());
      CULPRIT_ASSIGN(const bool noted, note(here));
      if (!noted && ++other > most_other_stops) return give_up();
      if (book_.calls() > journal_.spec_.max_calls || Clock::now() > enough_) return give_up();
    }
    return {};
  }

  Status give_up() {
    over_ = true;
    journal_.given_up_ = true;
    return {};
  }

  Status set_breakpoints(EventNumber from) {
    for (const wire::HeapFunction& function : journal_.spec_.functions) {
      std::uint64_t code = 0;
      CULPRIT_ASSIGN(
          const std::size_t read,
          client_->read(Address{function.address}, std::as_writable_bytes(std::span(&code, 1))));
      if (read != sizeof code || code != function.code) continue;
      CULPRIT_TRY(client_->set(breakpoint_at(function.address)));
      if (!journal_.seen_from_) journal_.seen_from_ = from;
    }
    for (const std::uint64_t caller : callers_) {
      // Its module may be gone by now.
      const Status set = client_->set(breakpoint_at(caller));
      if (!set.ok() && set.error().code != ErrorCode::usage) return set;
    }
    return {};
  }

  /// False if the stop is about no call.
  Result<bool> note(const Moment& here) {
    const gdb::ThreadName thread = client_->thread();
    Entry entry;
    entry.moment = here;
    entry.thread = thread.thread.value;
    const Registers& registers = here.registers;
    if (callers_.contains(registers.rip) && book_.returns(entry.thread, registers[Gpr::rsp])) {
      std::uint64_t result = registers[Gpr::rax];
      if (const auto slot = book_.result_slot(entry.thread)) {
        const bool failed = (result & 0xffff'ffff) != 0;  // an int
        CULPRIT_ASSIGN(
            const std::size_t read,
            client_->read(Address{*slot}, std::as_writable_bytes(std::span(&result, 1))));
        if (failed || read != sizeof result) result = 0;
      }
      entry.returned = result;
      book_.on_return(entry.thread, result);
    }
    if (const auto function = functions_.find(registers.rip); function != functions_.end()) {
      CULPRIT_ASSIGN(entry.call, call_here(function->second, here));
      std::uint64_t caller = 0;
      if (entry.call->stack.size() >= sizeof caller) {
        std::memcpy(&caller, entry.call->stack.data(), sizeof caller);
      }
      if (book_.on_entry(*entry.call) && caller != 0 && callers_.insert(caller).second) {
        CULPRIT_TRY(client_->set(breakpoint_at(caller)));
      }
    }
    if (!entry.returned && !entry.call) return false;
    CULPRIT_ASSIGN(entry.moment.ticks, client_->ticks());
    journal_.entries_.push_back(std::move(entry));
    return true;
  }

  Result<wire::HeapCall> call_here(std::uint8_t function, const Moment& here) {
    wire::HeapCall call;
    const gdb::ThreadName thread = client_->thread();
    call.position = {thread.thread.value, thread.process.value,
                     index_.syscalls_until(thread.thread, EventNumber{here.event.value - 1}),
                     sequence_at(journal_.entries_.size() + 1)};
    call.function = function;
    call.registers = here.registers;
    call.stack.resize(wire::kMaxHeapStack);
    CULPRIT_ASSIGN(
        const std::size_t read,
        client_->read(here.registers.sp(), std::as_writable_bytes(std::span(call.stack))));
    call.stack.resize(read);
    return call;
  }

  HeapJournal& journal_;
  const TraceIndex& index_;
  gdb::Client* client_ = nullptr;  ///< of this part
  Clock::time_point enough_, deadline_;
  agent::AllocationLog book_;
  std::map<std::uint64_t, std::uint8_t> functions_;  ///< by address
  std::set<std::uint64_t> callers_;                  ///< return addresses
  bool over_ = false;
};

Result<HeapJournal> HeapJournal::write(std::span<const Part> parts, const TraceIndex& index,
                                       wire::HeapSpec spec, Clock::time_point enough,
                                       Clock::time_point deadline) {
  HeapJournal journal(std::move(spec));
  Writer writer(journal, index, enough, deadline);
  for (const Part& part : parts) CULPRIT_TRY(writer.run(part));
  return journal;
}

bool HeapJournal::is_about(const wire::HeapSpec& spec) const {
  return spec.max_calls == spec_.max_calls &&
         std::equal(spec.functions.begin(), spec.functions.end(), spec_.functions.begin(),
                    spec_.functions.end(), [](const auto& a, const auto& b) {
                      return std::tie(a.role, a.address, a.code) ==
                             std::tie(b.role, b.address, b.code);
                    });
}

Result<HeapJournal::Place> HeapJournal::place_of(gdb::Client& client, const Moment& moment,
                                                 bool executed, Clock::time_point deadline) const {
  const auto time = time_of(moment);
  const auto first = std::partition_point(entries_.begin(), entries_.end(),
                                          [&](const Entry& e) { return time_of(e.moment) < time; });
  const auto last = std::partition_point(first, entries_.end(),
                                         [&](const Entry& e) { return time_of(e.moment) == time; });
  const auto place = [&](auto at) { return static_cast<Place>(at - entries_.begin()); };
  if (first == last) return place(first);
  Registers now = moment.registers;
  for (int steps = 0; steps < most_steps_in_a_tick; ++steps) {
    const auto comes = std::find_if(first, last, [&](const Entry& e) {
      return e.moment.registers.rip == now.rip && e.moment.registers.gpr == now.gpr;
    });
    if (comes != last && !(executed && steps == 0)) return place(comes);
    CULPRIT_ASSIGN(const StopReply stop, client.step(Direction::forward, until(deadline)));
    if (stop.kind != StopReply::Kind::signal) return place(last);
    CULPRIT_ASSIGN(const EventNumber event, client.event());
    CULPRIT_ASSIGN(const std::uint64_t ticks, client.ticks());
    if (event.value != moment.event.value || ticks != moment.ticks) return place(last);
    CULPRIT_ASSIGN(now, client.registers());
  }
  return Error{ErrorCode::replay_failed,
               "it cannot be told which calls of the allocator were before this moment"};
}

Result<HeapBlocks> HeapJournal::blocks_at(Place place, Address address, ThreadId thread) const {
  place = std::min(place, entries_.size());
  if (!seen_from_) {
    return Error{ErrorCode::not_found, "no allocator was seen in this process"};
  }
  if (!book_ || book_at_ > place) {
    book_.emplace(spec_.functions);
    book_at_ = 0;
  }
  for (; book_at_ < place; ++book_at_) {
    const Entry& entry = entries_[book_at_];
    if (entry.returned) book_->on_return(entry.thread, *entry.returned);
    if (entry.call) (void)book_->on_entry(*entry.call);
  }
  wire::HeapBlocks blocks = book_->blocks_at(address.value, thread.value);
  blocks.complete &= !(given_up_ && place == entries_.size());
  return heap_answer(blocks);
}

}  // namespace culprit::replay
