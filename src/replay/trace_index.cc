#include "replay/trace_index.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "agent/launch.h"
#include "base/file_descriptor.h"
#include "base/subprocess.h"
#include "replay/rr_process.h"
#include "replay/trace_index_data.h"

namespace culprit::replay {

TraceIndex::TraceIndex(std::unique_ptr<Data> data) : data_(std::move(data)) {}
TraceIndex::TraceIndex(TraceIndex&&) noexcept = default;
TraceIndex& TraceIndex::operator=(TraceIndex&&) noexcept = default;
TraceIndex::~TraceIndex() = default;

Result<TraceIndex> TraceIndex::load(const std::filesystem::path& trace_dir,
                                    const RrCommand& command, std::chrono::milliseconds deadline,
                                    const Limits& limits) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return Error{ErrorCode::io, std::string("cannot make a pipe: ") + std::strerror(errno)};
  }
  FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  ProcessOptions options = rr_process_options(command, -1);
  options.argv = {command.rr.string(), "dump", "-p", "-m", "-e", trace_dir.string()};
  options.out.kind = OutputMode::Kind::descriptor;
  options.out.fd = writer.get();
  CULPRIT_ASSIGN(Process process, Process::start(options));
  writer.reset();

  TraceIndexParser parser(limits);
  std::vector<char> buffer(std::size_t{1} << 18);
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      process.kill();
      return Error{ErrorCode::timeout, "rr dump did not finish in time"};
    }
    pollfd waiting{reader.get(), POLLIN, 0};
    const int step = static_cast<int>(std::min<std::int64_t>(left.count(), 1000));
    const int ready = ::poll(&waiting, 1, step);
    if (ready < 0 && errno != EINTR) {
      return Error{ErrorCode::io, std::string("poll: ") + std::strerror(errno)};
    }
    if (ready <= 0) continue;
    const ssize_t got = ::read(reader.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{ErrorCode::io, std::string("read: ") + std::strerror(errno)};
    if (got == 0) break;
    CULPRIT_TRY(parser.feed({buffer.data(), static_cast<std::size_t>(got)}));
  }
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
  CULPRIT_ASSIGN(const auto status, process.wait(std::max(left, std::chrono::milliseconds{100})));
  if (!status) {
    process.kill();
    return Error{ErrorCode::timeout, "rr dump did not finish in time"};
  }
  if (!status->success()) {
    return Error{ErrorCode::replay_failed,
                 "rr cannot read the trace " + trace_dir.string() + ": " +
                     rr_complaint(process.captured_err().text, status->describe())};
  }
  auto index = parser.finish();
  if (!index.ok()) return index.error().with_context(trace_dir.string());
  return index;
}

std::span<const Frame> TraceIndex::frames() const { return data_->frames; }

const Frame* TraceIndex::frame(EventNumber event) const {
  const auto& frames = data_->frames;
  const auto found = std::lower_bound(frames.begin(), frames.end(), event,
                                      [](const Frame& f, EventNumber e) { return f.event < e; });
  return found != frames.end() && found->event == event ? &*found : nullptr;
}

const FrameRegisters* TraceIndex::registers_of(const Frame& frame) const {
  return frame.registers < data_->registers.size() ? &data_->registers[frame.registers] : nullptr;
}

std::string_view TraceIndex::string_of(std::uint32_t id) const {
  return id < data_->strings.size() ? std::string_view(data_->strings[id]) : std::string_view();
}

ThreadId TraceIndex::first_thread() const { return data_->frames.front().thread; }
std::span<const TraceThread> TraceIndex::threads() const { return data_->threads; }
const TraceThread* TraceIndex::thread(ThreadId thread) const { return data_->find_thread(thread); }

std::vector<ProcessId> TraceIndex::processes() const {
  std::vector<ProcessId> result;
  for (const TraceThread& thread : data_->threads) {
    if (thread.thread.value == thread.process.value) result.push_back(thread.process);
  }
  return result;
}

std::span<const TraceClone> TraceIndex::clones() const { return data_->clones; }
std::span<const TraceExec> TraceIndex::execs() const { return data_->execs; }
std::span<const TraceMapping> TraceIndex::mappings() const { return data_->mappings; }
std::span<const KernelWrite> TraceIndex::kernel_writes() const { return data_->writes; }
std::size_t TraceIndex::skipped_lines() const { return data_->skipped; }
bool TraceIndex::has_ticks() const { return data_->ticks; }

EventNumber TraceIndex::event_of_syscall_entry(ThreadId thread, std::uint64_t ordinal,
                                               std::optional<std::uint64_t> expected_number) const {
  const auto* calls = data_->calls_of(thread);
  if (calls == nullptr || ordinal == 0 || ordinal > calls->entries.size()) return {};
  const Frame& frame = data_->frames[calls->entries[ordinal - 1]];
  if (expected_number &&
      (frame.number < 0 || static_cast<std::uint64_t>(frame.number) != *expected_number)) {
    return {};
  }
  return frame.event;
}

EventNumber TraceIndex::event_of_syscall_exit(ThreadId thread, std::uint64_t ordinal) const {
  const auto* calls = data_->calls_of(thread);
  if (calls == nullptr || ordinal == 0 || ordinal > calls->exits.size()) return {};
  const std::uint32_t frame = calls->exits[ordinal - 1];
  return frame == Data::none ? EventNumber{} : data_->frames[frame].event;
}

std::uint64_t TraceIndex::syscalls_until(ThreadId thread, EventNumber event) const {
  const auto* calls = data_->calls_of(thread);
  if (calls == nullptr) return 0;
  const auto after = std::upper_bound(
      calls->entries.begin(), calls->entries.end(), event,
      [this](EventNumber e, std::uint32_t frame) { return e < data_->frames[frame].event; });
  return static_cast<std::uint64_t>(after - calls->entries.begin());
}

EventNumber TraceIndex::event_of(const Position& position) const {
  const auto* calls = data_->calls_of(position.thread);
  if (calls == nullptr) return {};
  if (position.syscalls == 0 || calls->entries.empty()) {
    return data_->frames[calls->first_frame].event;
  }
  const std::uint64_t last = std::min<std::uint64_t>(position.syscalls, calls->entries.size());
  return data_->frames[calls->entries[last - 1]].event;
}

std::vector<KernelWrite> TraceIndex::writers_of(ByteRange range, EventNumber from,
                                                EventNumber to) const {
  std::vector<KernelWrite> result;
  const auto& writes = data_->writes;
  auto write = std::lower_bound(writes.begin(), writes.end(), from,
                                [](const KernelWrite& w, EventNumber e) { return w.event < e; });
  for (; write != writes.end() && write->event <= to; ++write) {
    if (write->range.overlaps(range)) result.push_back(*write);
  }
  return result;
}

const Frame& TraceIndex::first_fault(const Frame& fault) const {
  const FrameRegisters* registers = registers_of(fault);
  if (registers == nullptr) return fault;
  const std::vector<Frame>& frames = data_->frames;
  const Frame* first = &fault;
  bool returned = false;  // a handler has returned between the two
  for (auto i = static_cast<std::size_t>(&fault - frames.data()); i-- > 0;) {
    const Frame& frame = frames[i];
    if (frame.thread != fault.thread) continue;
    if (frame.kind == FrameKind::syscall_exit && frame.number == SYS_rt_sigreturn) {
      returned = true;
    } else if (frame.kind == FrameKind::signal && frame.number == fault.number && frame.deterministic) {
      const FrameRegisters* before = registers_of(frame);
      if (!returned || before == nullptr || before->rip != registers->rip) break;
      first = &frame;
      returned = false;
    } else if (!returned) {
      break;  // the program has run since
    }
  }
  return *first;
}

std::vector<CrashCandidate> TraceIndex::crash_candidates() const {
  std::vector<CrashCandidate> signals;
  std::vector<CrashCandidate> exits;
  // The last frames of interest of each process, in one sweep.
  struct Last {
    std::array<const Frame*, 65> signal{};
    const Frame* exit_call = nullptr;
  };
  std::unordered_map<std::int32_t, Last> last;
  for (const Frame& frame : data_->frames) {
    const TraceThread* thread = data_->find_thread(frame.thread);
    if (thread == nullptr || frame.number < 0) continue;
    if (frame.kind == FrameKind::signal && frame.number <= 64) {
      last[thread->process.value].signal[static_cast<std::size_t>(frame.number)] = &frame;
    } else if (frame.kind == FrameKind::syscall_entry &&
               (frame.number == SYS_exit_group || frame.number == SYS_exit)) {
      const Frame*& call = last[thread->process.value].exit_call;
      // exit_group ends the process; exit does so only in its last thread.
      if (call == nullptr || call->number == SYS_exit || frame.number == SYS_exit_group) {
        call = &frame;
      }
    }
  }
  for (const TraceThread& leader : data_->threads) {
    if (leader.thread.value != leader.process.value || !leader.wait_status) continue;
    const int status = *leader.wait_status;
    const auto found = last.find(leader.process.value);
    CrashCandidate candidate;
    candidate.process = leader.process;
    if (WIFSIGNALED(status)) {
      candidate.kind = CrashCandidate::Kind::fatal_signal;
      candidate.signal = WTERMSIG(status);
      const Frame* frame = found == last.end() || candidate.signal > 64
                               ? nullptr
                               : found->second.signal[static_cast<std::size_t>(candidate.signal)];
      if (frame != nullptr && frame->deterministic) frame = &first_fault(*frame);
      candidate.thread = frame != nullptr ? frame->thread : leader.thread;
      candidate.event = frame != nullptr ? frame->event : leader.ended;
      candidate.deterministic = frame != nullptr && frame->deterministic;
      candidate.syscalls = syscalls_until(candidate.thread, candidate.event);
      // A fault stops the thread in the replay too; a signal that was sent does not, and lands
      // right after the thread's last system call.
      candidate.mark.kind = candidate.deterministic || candidate.syscalls == 0
                                ? Mark::Kind::signal_stop
                                : Mark::Kind::syscall_exit;
      candidate.mark.signal = candidate.signal;
    } else if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
      candidate.kind = CrashCandidate::Kind::exit_code;
      candidate.exit_code = WEXITSTATUS(status);
      if (found == last.end() || found->second.exit_call == nullptr) continue;
      candidate.thread = found->second.exit_call->thread;
      candidate.event = found->second.exit_call->event;
      candidate.syscalls = syscalls_until(candidate.thread, candidate.event);
      candidate.mark.kind = Mark::Kind::syscall_entry;
    } else {
      continue;
    }
    candidate.mark.thread = candidate.thread;
    candidate.mark.ordinal = candidate.syscalls;
    (candidate.kind == CrashCandidate::Kind::fatal_signal ? signals : exits).push_back(candidate);
  }
  const auto later = [](const CrashCandidate& a, const CrashCandidate& b) {
    return a.event > b.event;
  };
  std::stable_sort(signals.begin(), signals.end(), later);
  std::stable_sort(exits.begin(), exits.end(), later);
  signals.insert(signals.end(), exits.begin(), exits.end());
  return signals;
}

std::vector<OutputCall> TraceIndex::output_calls(int fd) const {
  std::vector<OutputCall> result;
  for (const auto& [thread, calls] : data_->calls) {
    for (std::size_t i = 0; i < calls.entries.size(); ++i) {
      const Frame& entry = data_->frames[calls.entries[i]];
      if (entry.number != SYS_write && entry.number != SYS_writev) continue;
      const std::uint32_t done = calls.exits[i];
      const FrameRegisters* registers =
          registers_of(done == Data::none ? entry : data_->frames[done]);
      if (registers == nullptr ||
          static_cast<std::int32_t>(registers->arguments[0]) != static_cast<std::int32_t>(fd)) {
        continue;
      }
      result.push_back({entry.event,
                        thread,
                        i + 1,
                        {Address{registers->arguments[1]}, registers->arguments[2]},
                        entry.number == SYS_writev});
    }
  }
  std::sort(result.begin(), result.end(),
            [](const OutputCall& a, const OutputCall& b) { return a.event < b.event; });
  return result;
}

}  // namespace culprit::replay
