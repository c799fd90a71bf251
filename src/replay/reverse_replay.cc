#include "replay/reverse_replay.h"

#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/resume_flag.h"
#include "replay/forward_replay.h"
#include "replay/pass_specification.h"

namespace culprit::replay {

using gdb::Direction;
using gdb::StopPoint;
using gdb::StopPointKind;
using gdb::StopReply;
using std::chrono::milliseconds;

namespace {

/// Each is a process of the replay.
constexpr std::size_t most_known_hits = 300;
/// Stops of a search that are no hits: signals, mostly.
constexpr std::size_t most_other_stops = 10'000;
/// Steps that it may take to get behind a store: a system call is entered and left, and rr stops
/// some instructions before one that makes a mapping.
constexpr int most_steps_to_a_write = 8;

std::uint64_t mask_of(std::size_t size) {
  return size >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * size)) - 1;
}

StopPoint stop_point_of(const Probe& probe) {
  if (probe.kind == ProbeKind::execute) {
    return {StopPointKind::software_breakpoint, probe.address, 1};
  }
  return {StopPointKind::write_watchpoint, probe.address, probe.size};
}

/// What a hit's ordinal is counted among.
std::string key_of(const Probe& probe) {
  std::string out = probe.kind == ProbeKind::write ? "w" : "x";
  out += to_hex(probe.address);
  if (probe.kind == ProbeKind::write) out += "/" + std::to_string(probe.size);
  if (probe.thread) out += " t" + std::to_string(probe.thread->value);
  if (probe.process) out += " p" + std::to_string(probe.process->value);
  if (probe.filter && probe.kind == ProbeKind::write) {
    out +=
        " =" + to_hex(probe.filter->value) + "&" + to_hex(probe.filter->mask & mask_of(probe.size));
  }
  return out;
}

bool passes_filter(const Probe& probe, std::uint64_t value) {
  if (!probe.filter || probe.kind != ProbeKind::write) return true;
  return (value & probe.filter->mask & mask_of(probe.size)) == probe.filter->value;
}

bool remaps(std::int32_t syscall) {
  return syscall == SYS_mmap || syscall == SYS_munmap || syscall == SYS_mremap ||
         syscall == SYS_brk || syscall == SYS_madvise || syscall == SYS_execve;
}

/// A change that no instruction and no system call of the process made.
Hit::Kernel by_no_syscall() {
  Hit::Kernel out;
  out.syscall = kNoSyscall;
  return out;
}

}  // namespace

/// The stopped replay, asked through the gdb server.
class ReverseLiveState final : public LiveState {
 public:
  ReverseLiveState(ReverseReplay& replay, gdb::ThreadName thread, const Registers& registers,
                   std::optional<HeapJournal::Place> place)
      : replay_(replay), thread_(thread), registers_(registers), place_(place) {}

  std::size_t read(Address address, std::span<std::byte> out) const override {
    return replay_.client_->read(address, out).value_or(0);
  }
  Result<Registers> registers(ThreadId thread) const override {
    if (thread == thread_.thread) return registers_;
    gdb::Client& client = *replay_.client_;
    // rr shows the threads of other processes, too, as long as they live.
    const TraceThread* known = replay_.options_.index->thread(thread);
    CULPRIT_TRY(client.select({known != nullptr ? known->process : thread_.process, thread}));
    auto out = client.registers();
    CULPRIT_TRY(client.select(thread_));
    return out;
  }
  Result<std::vector<Thread>> threads() const override {
    CULPRIT_ASSIGN(const auto names, replay_.client_->threads());
    std::vector<Thread> out;
    for (const gdb::ThreadName& name : names) out.push_back({name.thread, name.process});
    std::sort(out.begin(), out.end(),
              [](const Thread& a, const Thread& b) { return a.thread < b.thread; });
    return out;
  }
  Result<HeapBlocks> heap_blocks(Address address) const override {
    if (replay_.book_ == nullptr || !place_ || thread_.process != replay_.book_process_)
      return LiveState::heap_blocks(address);
    return replay_.book_->blocks_at(*place_, address, thread_.thread);
  }
  Result<std::string> maps() const override {
    std::string out;
    CULPRIT_ASSIGN(const EventNumber next, replay_.client_->event());
    for (const Mapping& m :
         replay_.options_.index->maps_at(EventNumber{next.value - 1}, thread_.process)) {
      out += to_hex(m.range.start).substr(2) + "-" + to_hex(m.range.end()).substr(2) + " ";
      out += m.readable ? 'r' : '-';
      out += m.writable ? 'w' : '-';
      out += m.executable ? 'x' : '-';
      out += m.shared ? 's' : 'p';
      out += " " + to_hex(m.file_offset).substr(2) + " 00:00 0 " + m.path + "\n";
    }
    return out;
  }

 private:
  ReverseReplay& replay_;
  gdb::ThreadName thread_;
  Registers registers_;
  std::optional<HeapJournal::Place> place_;
};

Status ReverseReplay::suits(const TraceIndex& index) {
  if (!index.has_ticks()) {
    return Error{ErrorCode::usage, "the trace has no ticks, so rr cannot run it backwards"};
  }
  return {};
}

Result<std::unique_ptr<ReverseReplay>> ReverseReplay::open(ReverseOptions options) {
  std::error_code code;
  if (!std::filesystem::is_directory(options.trace_dir, code)) {
    return Error{ErrorCode::not_found, "no trace directory: " + options.trace_dir.string()};
  }
  if (options.index == nullptr) return Error{ErrorCode::internal, "no index of the trace"};
  CULPRIT_TRY(suits(*options.index));
  options.time_share = std::max(options.time_share, 1U);
  std::unique_ptr<ReverseReplay> out(new ReverseReplay(std::move(options)));
  for (const Frame& frame : out->options_.index->frames()) {
    const TraceThread* thread = out->options_.index->thread(frame.thread);
    if (thread == nullptr) continue;
    Life& life = out->lives_.try_emplace(thread->process, Life{frame.event, {}}).first->second;
    life.last = frame.event;
  }
  return out;
}

std::string ReverseReplay::engine_name() const { return options_.ticks + "-ticks/reverse"; }

std::vector<std::string> ReverseReplay::remarks() const {
  std::vector<std::string> out;
  out.emplace_back(blind_
                       ? "searched by rr's reverse execution: stores of the value that was there "
                         "already are not seen"
                       : "searched by rr's reverse execution: system calls that write the bytes "
                         "that were there already are not seen");
  if (!no_heap_.empty()) out.push_back(no_heap_);
  if (cut_) {
    out.emplace_back(
        "a search ended before the beginning of the trace: counts of writes and calls are of the "
        "newest only");
  }
  return out;
}

milliseconds ReverseReplay::left() const {
  return std::max(milliseconds(1),
                  std::chrono::duration_cast<milliseconds>(deadline_ - Clock::now()));
}

std::uint64_t ReverseReplay::next_sequence(std::optional<HeapJournal::Place> place) {
  const std::uint64_t base = book_ != nullptr && place ? HeapJournal::sequence_at(*place) : 0;
  return base + ++sequence_;
}

Position ReverseReplay::position(const gdb::ThreadName& thread, EventNumber next,
                                 std::optional<HeapJournal::Place> place) {
  return {thread.thread, thread.process,
          options_.index->syscalls_until(thread.thread, EventNumber{next.value - 1}),
          next_sequence(place)};
}

bool ReverseReplay::was_forked(ProcessId process) const {
  const TraceIndex& index = *options_.index;
  if (process == index.thread(index.first_thread())->process) return false;
  return std::none_of(index.execs().begin(), index.execs().end(), [&](const TraceExec& exec) {
    const TraceThread* thread = index.thread(exec.thread);
    return thread != nullptr && thread->process == process;
  });
}

Result<HeapJournal> ReverseReplay::write_journal(const agent::wire::HeapSpec& spec,
                                                 ProcessId process) {
  // What a process has by its fork, its parent has allocated.
  std::vector<HeapJournal::Part> parts{{nullptr, process, EventNumber{}, EventNumber{}}};
  while (parts.size() <= most_processes && was_forked(parts.back().process)) {
    const TraceThread* leader = options_.index->thread(ThreadId{parts.back().process.value});
    const TraceThread* parent =
        leader != nullptr ? options_.index->thread(leader->parent) : nullptr;
    if (parent == nullptr) break;
    parts.back().from = leader->created;
    parts.push_back({nullptr, parent->process, EventNumber{}, leader->created});
  }
  std::reverse(parts.begin(), parts.end());
  for (HeapJournal::Part& part : parts) {
    CULPRIT_TRY(use(part.process));
    part.client = client_;
  }
  // It is written once, for all passes; but one that is too long for a pass must leave it time.
  auto out = HeapJournal::write(parts, *options_.index, spec, Clock::now() + left() / 2, deadline_);
  for (const HeapJournal::Part& part : parts) {
    if (!part.client->closed()) {
      CULPRIT_TRY(part.client->restart(lives_.at(part.process).first, left()));
    }
  }
  return out;
}

Status ReverseReplay::open_book(const agent::wire::HeapSpec& spec, ProcessId process) {
  const auto known = journals_.find(process);
  if (known != journals_.end() && !known->second) return {};  // in vain before
  if (known == journals_.end() || !known->second->is_about(spec)) {
    auto written = write_journal(spec, process);
    if (!written.ok()) {
      journals_[process].reset();
      no_heap_ = "the heap's blocks were not followed: " + written.error().message;
      return written.error();
    }
    journals_[process].emplace(std::move(*written));
    for (auto& [key, found] : hits_) found.place.reset();
    if (journals_[process]->given_up()) {
      no_heap_ =
          "the heap's blocks were followed in the first part of the trace only: a run over all "
          "calls of the allocator took too long";
    }
  }
  if (book_process_ != process) {
    for (auto& [key, found] : hits_) found.place.reset();
  }
  book_ = &*journals_[process];
  book_process_ = process;
  return {};
}

Status ReverseReplay::use(ProcessId process) {
  if (client_ != nullptr && current_ == process) return {};
  auto known = sessions_.find(process);
  if (known == sessions_.end()) {
    if (sessions_.size() == most_processes) {
      return Error{ErrorCode::bad_input, "the reverse engine follows " +
                                             std::to_string(most_processes) +
                                             " processes of a trace at most"};
    }
    Session session;
    if (options_.connect) {
      CULPRIT_ASSIGN(session.connected, options_.connect(process, left()));
      session.client = session.connected.get();
    } else {
      gdb::ServerOptions options;
      options.trace_dir = options_.trace_dir;
      options.command = options_.command;
      if (lives_.size() > 1) {
        options.process = process;
        options.forked = was_forked(process);
      }
      options.start_deadline = left();
      options.log = options_.log;
      CULPRIT_ASSIGN(session.server, gdb::RrServer::start(options));
      session.client = &session.server->client();
    }
    session.client->answer_until(deadline_);
    known = sessions_.emplace(process, std::move(session)).first;
  }
  client_ = known->second.client;
  current_ = process;
  return {};
}

std::optional<ProcessId> ReverseReplay::process_of(const Probe& probe) const {
  if (probe.process) return probe.process;
  const TraceThread* thread = probe.thread ? options_.index->thread(*probe.thread) : nullptr;
  if (thread != nullptr) return thread->process;
  return lives_.size() == 1 ? std::optional(lives_.begin()->first) : std::nullopt;
}

Result<ProcessId> ReverseReplay::process_of(const Mark& mark, const PassSpec& spec) const {
  const TraceIndex& index = *options_.index;
  std::optional<ProcessId> out;
  switch (mark.kind) {
    case Mark::Kind::end:
      // Each process has an end of its own; nobody stands there.
      if (!spec.probes.empty()) out = process_of(spec.probes.front());
      if (const TraceThread* last = index.thread(index.frames().back().thread); !out && last) {
        out = last->process;
      }
      break;
    case Mark::Kind::probe_hit:
      out = process_of(mark.probe);
      break;
    default:
      if (const TraceThread* thread = index.thread(mark.thread)) out = thread->process;
  }
  if (!out || !lives_.contains(*out)) {
    return Error{ErrorCode::replay_failed, "the trace does not show the moment that is asked for"};
  }
  return *out;
}

Result<PassResult> ReverseReplay::run(const PassSpec& spec, PassObserver& observer) {
  const auto started = Clock::now();
  deadline_ = started + spec.deadline;
  // The same limits as a forward pass, so that no pass depends on the engine's. Marks are looked up
  // here.
  CULPRIT_ASSIGN(const PassOrders orders, make_orders(spec, *options_.index, 0));
  if (spec.map_events) {
    return Error{ErrorCode::bad_input, "the reverse engine has no map events"};
  }
  for (const Probe& probe : spec.probes) {
    if (!process_of(probe)) {
      return Error{ErrorCode::bad_input,
                   "the reverse engine searches for a probe in one process, which it must name"};
    }
  }
  for (auto& [process, session] : sessions_) session.client->answer_until(deadline_);
  auto result = run_pass(spec, orders.spec.heap, observer);
  book_ = nullptr;
  if (!result.ok()) {
    const auto broken = std::find_if(sessions_.begin(), sessions_.end(),
                                     [](const auto& each) { return each.second.client->closed(); });
    if (broken == sessions_.end()) return result.error();
    // What rr thinks is not known any more, and its checkpoints went with it.
    gdb::RrServer* server = broken->second.server.get();
    const Error error = server != nullptr ? server->explain(result.error()) : result.error();
    hits_.clear();
    order_.clear();
    unused_->clear();
    client_ = nullptr;
    sessions_.clear();
    return error;
  }
  result->elapsed = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - started);
  return result;
}

Result<ReverseReplay::End> ReverseReplay::seek_event(EventNumber event, ThreadId thread) {
  if (!event) {
    return Error{ErrorCode::replay_failed, "the trace does not show the moment that is asked for"};
  }
  CULPRIT_TRY(client_->restart(event, left()));
  if (thread.value != 0 && client_->thread().thread != thread) {
    CULPRIT_TRY(client_->select({client_->thread().process, thread}));
  }
  End end;
  end.thread = client_->thread();
  CULPRIT_ASSIGN(end.registers, client_->registers());
  CULPRIT_ASSIGN(const EventNumber next, client_->event());
  CULPRIT_ASSIGN(end.ticks, client_->ticks());
  end.before = end.registers;
  end.event = next;
  // rr goes on from there until it is this process's turn.
  end.until = EventNumber{event.value + 1};
  end.syscalls = options_.index->syscalls_until(end.thread.thread, EventNumber{next.value - 1});
  return end;
}

Result<ReverseReplay::End> ReverseReplay::seek(const Mark& mark, ProcessId process) {
  const TraceIndex& index = *options_.index;
  CULPRIT_TRY(use(process));
  switch (mark.kind) {
    case Mark::Kind::end: {
      CULPRIT_ASSIGN(End end, seek_event(lives_.at(process).last, ThreadId{}));
      end.until = EventNumber{index.frames().back().event.value + 1};
      return end;
    }
    case Mark::Kind::probe_hit: {
      const auto known = hits_.find({key_of(mark.probe), mark.ordinal});
      if (known == hits_.end()) {
        return Error{ErrorCode::usage, "the reverse engine knows no such hit of the probe"};
      }
      Found& found = known->second;
      CULPRIT_TRY(stand_at(found));
      End end;
      end.thread = found.moment->thread;
      end.registers = found.hit.registers;
      end.before = found.moment->before;
      end.ticks = found.moment->ticks;
      end.event = end.until = found.moment->event;
      end.place = found.place;
      end.by_instruction = found.write && !found.at_start;
      end.about_to_execute = !found.write;
      end.syscalls = found.hit.position.syscalls;
      return end;
    }
    case Mark::Kind::syscall_exit: {
      CULPRIT_ASSIGN(
          End end, seek_event(index.event_of_syscall_exit(mark.thread, mark.ordinal), mark.thread));
      end.about_to_execute = false;
      return end;
    }
    case Mark::Kind::syscall_entry: {
      // Before the instruction, whose registers rr has changed once it is entered.
      const EventNumber entry = index.event_of_syscall_entry(mark.thread, mark.ordinal);
      CULPRIT_ASSIGN(const End entered, seek_event(entry, mark.thread));
      CULPRIT_TRY(client_->restart(EventNumber{entry.value - 1}, left()));
      const StopPoint instruction{StopPointKind::software_breakpoint,
                                  Address{entered.registers.rip - 2}, 1};
      CULPRIT_TRY(client_->set(instruction));
      End end;
      for (std::size_t stops = 0;; ++stops) {
        CULPRIT_ASSIGN(end.registers, client_->registers());
        if (client_->thread() == entered.thread && end.registers.pc() == instruction.address) break;
        if (stops > most_other_stops) {
          return Error{ErrorCode::replay_failed, "the system call's instruction was not reached"};
        }
        CULPRIT_ASSIGN(const StopReply stop, client_->resume(Direction::forward, left()));
        if (stop.kind != StopReply::Kind::signal) {
          return Error{ErrorCode::replay_failed, "the system call's instruction was not reached"};
        }
      }
      CULPRIT_TRY(client_->remove(instruction));
      CULPRIT_ASSIGN(end.ticks, client_->ticks());
      CULPRIT_ASSIGN(end.event, client_->event());
      end.until = end.event;
      end.thread = entered.thread;
      end.before = end.registers;
      end.registers.orig_rax = end.registers[Gpr::rax];
      end.syscalls = mark.ordinal;
      return end;
    }
    case Mark::Kind::signal_stop:
      break;
  }
  for (const Frame& frame : index.frames()) {
    if (frame.kind != FrameKind::signal || frame.thread != mark.thread ||
        (mark.signal != 0 && frame.number != mark.signal) ||
        index.syscalls_until(mark.thread, frame.event) != mark.ordinal) {
      continue;
    }
    CULPRIT_ASSIGN(End end, seek_event(frame.event, mark.thread));
    end.by_instruction = frame.deterministic;
    return end;
  }
  return Error{ErrorCode::replay_failed, "the trace does not show the signal that is asked for"};
}

Result<std::uint64_t> ReverseReplay::value_of(const Probe& probe, bool& known) {
  std::uint64_t value = 0;
  CULPRIT_ASSIGN(
      const std::size_t read,
      client_->read(probe.address, std::as_writable_bytes(std::span(&value, 1)).first(probe.size)));
  known = read == probe.size;
  return known ? value : 0;
}

Result<std::shared_ptr<ReverseReplay::Moment>> ReverseReplay::moment_here() {
  std::shared_ptr<Moment> out(new Moment, [unused = unused_](const Moment* m) {
    if (m->checkpoint != 0) unused->emplace_back(m->thread.process, m->checkpoint);
    delete m;
  });
  CULPRIT_ASSIGN(out->before, client_->registers());
  out->thread = client_->thread();
  return out;
}

Status ReverseReplay::note_start(Search& search) {
  // (A fork writes nothing: the bytes were its parent's.)
  if (lives_.size() > 1 && was_forked(current_)) return {};
  CULPRIT_ASSIGN(const std::shared_ptr<Moment> moment, moment_here());
  CULPRIT_ASSIGN(moment->ticks, client_->ticks());
  CULPRIT_ASSIGN(moment->event, client_->event());
  bool needed = false;
  // The last one first: the whole list is turned round at the end.
  for (const std::size_t i : search.probes) {
    const Probe& probe = search.spec->probes[i];
    if (probe.kind != ProbeKind::write || !search.known[i]) continue;
    if (probe.thread && *probe.thread != moment->thread.thread) continue;
    Found hit;
    hit.probe = i;
    hit.watched = probe;
    hit.moment = moment;
    hit.write = true;
    hit.at_start = true;
    hit.value_after = search.values[i];
    hit.matches = passes_filter(probe, search.values[i]);
    needed = needed || hit.matches;
    search.found.push_back(std::move(hit));
  }
  if (needed) {
    CULPRIT_ASSIGN(moment->checkpoint, client_->make_checkpoint(left()));
  }
  return {};
}

Status ReverseReplay::set_probes(const Search& search) {
  for (const std::size_t i : search.probes) {
    CULPRIT_TRY(client_->set(stop_point_of(search.spec->probes[i])));
  }
  for (const std::size_t i : search.probes) {
    const Probe& probe = search.spec->probes[i];
    if (probe.kind != ProbeKind::write) continue;
    const bool set =
        options_.stores &&
        client_->set({StopPointKind::access_watchpoint, probe.address, probe.size}).ok();
    if (!set) blind_ = true;
  }
  return {};
}

Status ReverseReplay::note_stop(Search& search, std::optional<Address> accessed) {
  CULPRIT_ASSIGN(const std::shared_ptr<Moment> moment, moment_here());
  std::array<std::byte, 16> code{};
  std::size_t code_size = 0;
  if (accessed && options_.stores) {
    CULPRIT_ASSIGN(code_size, client_->read(moment->before.pc(), code));
  }
  std::vector<Found>& found = search.found;
  const std::size_t first = found.size();
  // The last one first: the whole list is turned round at the end.
  for (const std::size_t i : search.probes) {
    const Probe& probe = search.spec->probes[i];
    Found hit;
    hit.probe = i;
    hit.watched = probe;
    hit.write = probe.kind == ProbeKind::write;
    hit.matches = true;
    if (hit.write) {
      bool before_known = false;
      CULPRIT_ASSIGN(const std::uint64_t before, value_of(probe, before_known));
      if (before == search.values[i] && before_known == search.known[i] &&
          (code_size == 0 || !options_.stores(std::span(code).first(code_size), moment->before,
                                              ByteRange{probe.address, probe.size}))) {
        continue;
      }
      hit.before_known = before_known;
      hit.value_before = before;
      hit.value_after = search.values[i];
      hit.matches = search.known[i] && passes_filter(probe, search.values[i]);
      if (probe.filter && !search.known[i]) hit.matches = false;
      search.values[i] = before;
      search.known[i] = before_known;
    } else if (moment->before.pc() != probe.address) {
      continue;
    }
    if (probe.thread && *probe.thread != moment->thread.thread) continue;
    hit.moment = moment;
    found.push_back(std::move(hit));
  }
  if (std::any_of(found.begin() + static_cast<std::ptrdiff_t>(first), found.end(),
                  [](const Found& hit) { return hit.matches; })) {
    CULPRIT_ASSIGN(moment->ticks, client_->ticks());
    CULPRIT_ASSIGN(moment->event, client_->event());
    CULPRIT_ASSIGN(moment->checkpoint, client_->make_checkpoint(left()));
  }
  return {};
}

Result<bool> ReverseReplay::search_process(Search& search, const End* end) {
  const PassSpec& spec = *search.spec;
  search.values.resize(spec.probes.size());
  search.known.resize(spec.probes.size());
  for (const std::size_t i : search.probes) {
    if (spec.probes[i].kind != ProbeKind::write) continue;
    bool readable = false;
    CULPRIT_ASSIGN(search.values[i], value_of(spec.probes[i], readable));
    search.known[i] = readable;
  }
  if (end != nullptr && end->about_to_execute) CULPRIT_TRY(note_stop(search, std::nullopt));
  CULPRIT_TRY(set_probes(search));
  std::vector<Found>& found = search.found;
  bool cut = false;
  // A hot slot must not use up all the time: with what it has found the pass can go on.
  const auto enough = Clock::now() + left() / options_.time_share;
  for (std::size_t other = 0;;) {
    const bool any =
        std::any_of(found.begin(), found.end(), [](const Found& hit) { return hit.matches; });
    if (found.size() >= options_.most_hits || (any && Clock::now() > enough)) {
      cut = true;
      break;
    }
    CULPRIT_ASSIGN(const StopReply stop, client_->resume(Direction::backward, left()));
    if (stop.kind != StopReply::Kind::signal) {
      return Error{ErrorCode::replay_failed, "rr ran backwards over the beginning of the trace"};
    }
    // The beginning of the process: rr stops with no signal.
    if (stop.signal == 0 || stop.history == StopReply::End::begin) {
      CULPRIT_TRY(note_start(search));
      break;
    }
    const std::size_t before = found.size();
    CULPRIT_TRY(note_stop(search, stop.watch));
    if (found.size() == before && ++other > most_other_stops) {
      return Error{ErrorCode::timeout, "too many signals to run backwards over"};
    }
  }
  CULPRIT_TRY(client_->remove_all());
  return cut;
}

Result<std::vector<ReverseReplay::Found>> ReverseReplay::search(const PassSpec& spec,
                                                                const End& end,
                                                                PassResult& result) {
  result.matches.assign(spec.probes.size(), 0);
  result.raw_hits.assign(spec.probes.size(), 0);
  // The process of the end first: its client stands there.
  std::map<ProcessId, Search> searches;
  for (std::size_t i = spec.probes.size(); i-- > 0;) {
    Search& search = searches[*process_of(spec.probes[i])];
    search.spec = &spec;
    search.probes.push_back(i);
  }
  std::vector<ProcessId> processes;
  for (const auto& [process, search] : searches) processes.push_back(process);
  std::stable_partition(processes.begin(), processes.end(),
                        [&](ProcessId process) { return process == end.thread.process; });
  std::vector<Found> out;
  for (const ProcessId process : processes) {
    Search& search = searches[process];
    const bool here = process == end.thread.process;
    if (!here) {
      const auto life = lives_.find(process);
      if (life == lives_.end() || life->second.first.value >= end.until.value) continue;
      CULPRIT_TRY(use(process));
      // Where it ran last before; it has not run on since.
      const std::int64_t last = std::min(end.until.value - 1, life->second.last.value);
      CULPRIT_TRY(client_->restart(EventNumber{last}, left()));
    }
    CULPRIT_ASSIGN(const bool cut, search_process(search, here ? &end : nullptr));
    cut_ = cut_ || cut;
    std::reverse(search.found.begin(), search.found.end());
    const std::uint64_t base = cut ? kUnknownOrdinal : 0;
    for (Found& hit : search.found) {
      hit.hit.probe = hit.probe;
      hit.hit.raw_ordinal = base + ++result.raw_hits[hit.probe];
      hit.hit.value_before = hit.value_before;
      hit.hit.value_after = hit.value_after;
      hit.hit.before_known = hit.before_known;
      if (!hit.matches) continue;
      hit.hit.ordinal = base + ++result.matches[hit.probe];
      out.push_back(std::move(hit));
    }
  }
  // Only one process runs between two frames.
  std::stable_sort(out.begin(), out.end(), [](const Found& a, const Found& b) {
    return a.moment->event.value < b.moment->event.value;
  });
  return out;
}

bool ReverseReplay::shares(ProcessId process, Address address) const {
  const auto life = lives_.find(process);
  if (lives_.size() == 1 || life == lives_.end()) return false;
  // Before its end, when nothing is mapped any more.
  const EventNumber at{std::max<std::int64_t>(life->second.last.value - 1, 1)};
  const auto maps = options_.index->maps_at(at, process);
  return std::any_of(maps.begin(), maps.end(), [&](const Mapping& mapping) {
    return mapping.shared && mapping.range.contains(address);
  });
}

Status ReverseReplay::stand_at(Found& found) {
  const Moment& moment = *found.moment;
  CULPRIT_TRY(use(moment.thread.process));
  CULPRIT_TRY(client_->restart_at_checkpoint(moment.checkpoint, left()));
  // (The exec's own hit is before the allocator is there.)
  if (book_ != nullptr && !found.place && !found.at_start) {
    if (client_->thread() != moment.thread) CULPRIT_TRY(client_->select(moment.thread));
    CULPRIT_ASSIGN(found.place,
                   book_->place_of(*client_, {moment.event, moment.ticks, moment.before},
                                   found.write, deadline_));
    CULPRIT_TRY(client_->restart_at_checkpoint(moment.checkpoint, left()));
  }
  found.hit.registers = moment.before;
  EventNumber next = moment.event;
  if (found.at_start) {
    Hit::Kernel kernel;
    kernel.syscall = SYS_execve;
    kernel.remapped = true;
    for (const Frame& frame : options_.index->frames()) {
      if (frame.event.value >= moment.event.value) break;
      const FrameRegisters* registers = options_.index->registers_of(frame);
      if (frame.kind != FrameKind::syscall_exit || registers == nullptr) continue;
      if (frame.number != SYS_execve && frame.number != SYS_execveat) continue;
      kernel.syscall = static_cast<std::uint64_t>(frame.number);
      kernel.arguments = registers->arguments;
      kernel.result = registers->result;
    }
    found.hit.kernel = kernel;
  } else if (found.write) {
    if (client_->thread() != moment.thread) CULPRIT_TRY(client_->select(moment.thread));
    for (int steps = 0;; ++steps) {
      if (steps == most_steps_to_a_write && shares(moment.thread.process, found.watched.address)) {
        // Another process did, later than this: rr compares the bytes while this one runs only.
        CULPRIT_TRY(client_->restart_at_checkpoint(moment.checkpoint, left()));
        found.hit.registers = moment.before;
        found.hit.kernel = by_no_syscall();
        next = moment.event;
        break;
      }
      if (steps == most_steps_to_a_write) {
        return Error{ErrorCode::replay_failed, "rr does not repeat the store that it has found"};
      }
      CULPRIT_ASSIGN(const StopReply stop, client_->step(Direction::forward, left()));
      if (stop.kind != StopReply::Kind::signal) {
        return Error{ErrorCode::replay_failed, "the replay ended at the store that it has found"};
      }
      CULPRIT_ASSIGN(found.hit.registers, client_->registers());
      CULPRIT_ASSIGN(next, client_->event());
      const bool in_call = next.value > moment.event.value &&
                           found.hit.registers[Gpr::rax] == static_cast<std::uint64_t>(-38);
      if (found.hit.registers == moment.before || in_call) continue;
      bool known = false;
      CULPRIT_ASSIGN(const std::uint64_t value, value_of(found.watched, known));
      // What was there already is there before and behind the store.
      const bool changes = !found.before_known || found.value_before != found.value_after;
      if (!changes || (known && value == found.value_after)) break;
    }
    if (next.value > moment.event.value) {
      // rr wrote it, from outside: with the frame of a system call, or of a signal.
      std::optional<EventNumber> elsewhere;
      for (std::int64_t e = moment.event.value; e < next.value; ++e) {
        const Frame* frame = options_.index->frame(EventNumber{e});
        if (frame == nullptr) continue;
        Hit::Kernel kernel;
        kernel.syscall = frame->kind == FrameKind::syscall_exit
                             ? static_cast<std::uint64_t>(frame->number)
                             : kNoSyscall;
        if (kernel.syscall == kNoSyscall && frame->kind != FrameKind::signal_handler) continue;
        if (const FrameRegisters* registers = options_.index->registers_of(*frame)) {
          kernel.arguments = registers->arguments;
          kernel.result = registers->result;
          if (kernel.syscall != kNoSyscall && registers->rip != found.hit.registers.rip) {
            elsewhere = frame->event;
          }
        }
        if (kernel.syscall == kNoSyscall) {
          kernel.arguments = {static_cast<std::uint64_t>(frame->number)};
        } else {
          kernel.remapped = remaps(frame->number);
        }
        found.hit.kernel = kernel;
      }
      if (elsewhere) {
        // A step of rr's over a call that makes a mapping goes some instructions further.
        CULPRIT_TRY(client_->restart(*elsewhere, left()));
        if (client_->thread() != moment.thread) CULPRIT_TRY(client_->select(moment.thread));
        CULPRIT_ASSIGN(found.hit.registers, client_->registers());
      }
    }
  }
  if (found.write && !found.at_start && !found.hit.kernel && options_.stores &&
      shares(moment.thread.process, found.watched.address)) {
    // It may have come through another mapping of the same memory: then this is no store into it.
    std::array<std::byte, 16> code{};
    CULPRIT_ASSIGN(const std::size_t size, client_->read(moment.before.pc(), code));
    if (!options_.stores(std::span(code).first(size), moment.before,
                         ByteRange{found.watched.address, found.watched.size})) {
      found.hit.kernel = by_no_syscall();
    }
  }
  if (found.hit.position.thread.value == 0) {
    found.hit.position = position(moment.thread, next, found.place);
  }
  return {};
}

Result<bool> ReverseReplay::is_system_call(Address pc, std::map<std::uint64_t, CodePage>& pages) {
  constexpr std::size_t most_pages = 1024;
  constexpr std::array<std::byte, 2> syscall{std::byte{0x0f}, std::byte{0x05}};
  const std::uint64_t page = pc.value & ~(code_page_size - 1);
  const std::uint64_t offset = pc.value - page;
  if (offset + syscall.size() > code_page_size) {
    std::array<std::byte, 2> code{};
    CULPRIT_ASSIGN(const std::size_t read, client_->read(pc, code));
    return read == code.size() && code == syscall;
  }
  auto known = pages.find(page);
  if (known == pages.end()) {
    if (pages.size() == most_pages) pages.clear();
    known = pages.try_emplace(page, CodePage(code_page_size)).first;
    CULPRIT_ASSIGN(const std::size_t read, client_->read(Address{page}, known->second));
    known->second.resize(read);
  }
  const CodePage& code = known->second;
  return offset + syscall.size() <= code.size() && code[offset] == syscall[0] &&
         code[offset + 1] == syscall[1];
}

Status ReverseReplay::return_to_exit(const gdb::ThreadName& thread, Address after_call) {
  CULPRIT_ASSIGN(const EventNumber next, client_->event());
  const auto frames = options_.index->frames();
  auto at = std::lower_bound(frames.begin(), frames.end(), next,
                             [](const Frame& f, EventNumber e) { return f.event.value < e.value; });
  while (at != frames.begin()) {
    --at;
    if (at->thread != thread.thread) continue;
    const FrameRegisters* registers = options_.index->registers_of(*at);
    if (at->kind != FrameKind::syscall_exit || registers == nullptr ||
        registers->rip != after_call.value) {
      return {};
    }
    CULPRIT_TRY(client_->restart(at->event, left()));
    if (client_->thread() != thread) CULPRIT_TRY(client_->select(thread));
    return {};
  }
  return {};
}

Result<StepWindow> ReverseReplay::step_window(const StepSpec& spec, const End& end) {
  CULPRIT_ASSIGN(const ProcessId process, process_of(spec.begin, PassSpec{}));
  if (process != end.thread.process) {
    return Error{ErrorCode::bad_input, "a step window is of one process"};
  }
  CULPRIT_ASSIGN(const End begin, seek(spec.begin, process));
  StepWindow window;
  window.thread = begin.thread.thread;
  std::uint64_t total = 0;
  std::map<std::uint64_t, CodePage> pages;
  std::optional<Address> after_call;  ///< where a system call that was stepped into returns to
  for (;;) {
    CULPRIT_ASSIGN(Registers now, client_->registers());
    if (after_call && now.pc() != *after_call) {
      // A step of rr's over a call that makes a mapping goes some instructions further.
      CULPRIT_TRY(return_to_exit(begin.thread, *after_call));
      CULPRIT_ASSIGN(now, client_->registers());
      after_call.reset();
    }
    bool at_end = false;
    if (same_but_resume_flag(now, end.before)) {
      CULPRIT_ASSIGN(const std::uint64_t ticks, client_->ticks());
      at_end = ticks == end.ticks;
    }
    // Inside a system call nothing of the program is executed.
    const bool in_call = now[Gpr::rax] == static_cast<std::uint64_t>(-38) &&
                         static_cast<std::int64_t>(now.orig_rax) >= 0;
    if ((!at_end || end.by_instruction) && !in_call &&
        (window.steps.empty() || !same_but_resume_flag(window.steps.back(), now))) {
      ++total;
      if (spec.budget != 0 && total > spec.budget) {
        return Error{ErrorCode::bad_input, "more than " + std::to_string(spec.budget) +
                                               " instructions in the step window"};
      }
      window.steps.push_back(now);
      // In bulk, since a vector's front is dear.
      if (window.steps.size() >= 2 * std::size_t{spec.max_steps} + 1024) {
        window.steps.erase(window.steps.begin(), window.steps.end() - spec.max_steps);
      }
    }
    if (at_end) break;
    if (!in_call) {
      CULPRIT_ASSIGN(const bool calls, is_system_call(now.pc(), pages));
      after_call = calls ? std::optional(now.pc() + 2) : std::nullopt;
    }
    CULPRIT_ASSIGN(const StopReply stop, client_->step(Direction::forward, left()));
    if (stop.kind != StopReply::Kind::signal) {
      return Error{ErrorCode::replay_failed, "the step window's end was not reached"};
    }
    if (client_->thread() != begin.thread) CULPRIT_TRY(client_->select(begin.thread));
    if (Clock::now() > deadline_) return Error{ErrorCode::timeout, "the step window took too long"};
  }
  if (window.steps.size() > spec.max_steps) {
    window.steps.erase(window.steps.begin(), window.steps.end() - spec.max_steps);
  }
  window.truncated = total > window.steps.size();
  window.final_registers = end.registers;
  return window;
}

Status ReverseReplay::forget_old_hits() {
  std::size_t gone = 0;
  while (order_.size() - gone > most_known_hits) hits_.erase(order_[gone++]);
  order_.erase(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(gone));
  while (!unused_->empty()) {
    const auto [process, checkpoint] = unused_->back();
    unused_->pop_back();
    const auto session = sessions_.find(process);
    if (session == sessions_.end()) continue;
    CULPRIT_TRY(session->second.client->delete_checkpoint(checkpoint));
  }
  return {};
}

Result<PassResult> ReverseReplay::run_pass(const PassSpec& spec,
                                           const std::optional<agent::wire::HeapSpec>& heap,
                                           PassObserver& observer) {
  PassResult result;
  sequence_ = 0;
  book_ = nullptr;
  CULPRIT_ASSIGN(const ProcessId process, process_of(spec.end, spec));
  if (heap) CULPRIT_TRY(open_book(*heap, process));
  CULPRIT_ASSIGN(End end, seek(spec.end, process));
  CULPRIT_ASSIGN(const std::uint32_t end_checkpoint, client_->make_checkpoint(left()));
  if (book_ != nullptr && !end.place) {
    CULPRIT_ASSIGN(end.place, book_->place_of(*client_, {end.event, end.ticks, end.before},
                                              end.by_instruction, deadline_));
    CULPRIT_TRY(client_->restart_at_checkpoint(end_checkpoint, left()));
    if (client_->thread() != end.thread) CULPRIT_TRY(client_->select(end.thread));
  }
  CULPRIT_ASSIGN(std::vector<Found> found, search(spec, end, result));

  // Which of them the observer sees: kept ones later, the newest only.
  std::vector<std::size_t> kept;
  std::vector<std::uint64_t> newer(spec.probes.size());
  for (std::size_t i = found.size(); i-- > 0;) {
    const Probe& probe = spec.probes[found[i].probe];
    if (probe.keep_last == 0) continue;
    if (newer[found[i].probe]++ < probe.keep_last) kept.push_back(i);
  }
  std::reverse(kept.begin(), kept.end());

  bool stopped = false;
  for (std::size_t i = 0; i < found.size(); ++i) {
    Found& hit = found[i];
    const Probe& probe = spec.probes[hit.probe];
    const bool shown = probe.keep_last == 0 || std::binary_search(kept.begin(), kept.end(), i);
    if (shown) CULPRIT_TRY(stand_at(hit));
    if (shown && probe.keep_last == 0 && !stopped) {
      hit.hit.live = probe.live;
      const ReverseLiveState live(*this, hit.moment->thread, hit.hit.registers, hit.place);
      stopped = observer.on_hit(hit.hit, probe.live ? &live : nullptr) == Next::stop_pass;
    }
    const std::pair key(key_of(probe), hit.hit.ordinal);
    if (hits_.insert_or_assign(key, hit).second) order_.push_back(key);
  }
  CULPRIT_TRY(forget_old_hits());
  result.end_reached = true;
  if (stopped) return result;

  for (const std::size_t i : kept) {
    found[i].hit.live = false;
    if (observer.on_hit(found[i].hit, nullptr) == Next::stop_pass) return result;
  }
  if (spec.step) {
    CULPRIT_ASSIGN(result.window, step_window(*spec.step, end));
  }
  CULPRIT_TRY(use(process));
  CULPRIT_TRY(client_->restart_at_checkpoint(end_checkpoint, left()));
  if (client_->thread() != end.thread) CULPRIT_TRY(client_->select(end.thread));
  const ReverseLiveState live(*this, end.thread, end.registers, end.place);
  if (result.window) observer.on_window(*result.window);
  if (spec.end.kind != Mark::Kind::end) {
    observer.on_end({end.thread.thread, end.thread.process, end.syscalls, next_sequence(end.place)},
                    end.registers, live);
  }
  CULPRIT_TRY(client_->delete_checkpoint(end_checkpoint));
  return result;
}

}  // namespace culprit::replay
