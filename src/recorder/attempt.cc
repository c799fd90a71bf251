#include "recorder/attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "agent/launch.h"
#include "base/file_descriptor.h"
#include "recorder/engine_choice.h"
#include "recorder/tracees.h"

namespace culprit::recorder {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// The lines that the agent writes (agent/report.h).
class ReportReader {
 public:
  explicit ReportReader(FileDescriptor fd) : fd_(std::move(fd)) {}

  void drain(Attempt& attempt) {
    char buffer[4096];
    for (;;) {
      const ssize_t n = ::read(fd_.get(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      pending_.append(buffer, static_cast<std::size_t>(n));
      for (std::size_t newline; (newline = pending_.find('\n')) != std::string::npos;) {
        take(pending_.substr(0, newline), attempt);
        pending_.erase(0, newline + 1);
      }
      if (pending_.size() > 65536) pending_.clear();  // not our agent's
    }
  }
  bool ready() const { return ready_; }

 private:
  void take(const std::string& line, Attempt& attempt) {
    constexpr std::string_view refused = "refused ";
    if (line == "ready") ready_ = true;
    if (line.starts_with(refused) && !attempt.refused) {
      const std::size_t kind_end = std::min(line.find(' ', refused.size()), line.size());
      Refused out;
      out.kind = kind_of(std::string_view(line).substr(refused.size(), kind_end - refused.size()));
      if (kind_end < line.size()) out.why = line.substr(kind_end + 1);
      out.landing = landing_;
      out.place = place_;
      attempt.refused = std::move(out);
    }
    unsigned long long address = 0;
    unsigned long long offset = 0;
    int name = 0;
    if (::sscanf(line.c_str(), "landing %llx", &address) == 1) landing_ = address;
    if (::sscanf(line.c_str(), "spin %llx %llx %n", &address, &offset, &name) == 2 && name > 0) {
      place_ = CodePlace{address, "", offset};
      if (line.compare(static_cast<std::size_t>(name), std::string::npos, "-") != 0) {
        place_->file = line.substr(static_cast<std::size_t>(name));
      }
    }
    TicksStatistics t;
    if (::sscanf(line.c_str(),
                 "stats held=%lu released=%lu dropped=%lu interrupts=%lu killed=%lu landed=%lu",
                 &t.held, &t.released, &t.dropped, &t.interrupts, &t.killed, &t.landed) == 6) {
      attempt.ticks = t;
    }
  }

  static RefusalKind kind_of(std::string_view name) {
    if (name == "hold") return RefusalKind::hold;
    if (name == "starve") return RefusalKind::starve;
    if (name == "learn") return RefusalKind::learn;
    if (name == "hot") return RefusalKind::hot;
    return RefusalKind::other;
  }

  FileDescriptor fd_;
  std::string pending_;
  bool ready_ = false;
  std::optional<std::uint64_t> landing_;
  std::optional<CodePlace> place_;
};

/// Waits up to `limit` for rr to end, whatever else happens.
bool wait_for(Process& rr, milliseconds limit) {
  const auto status = rr.wait(limit, /*interruptible=*/false);
  return status.ok() && status->has_value();
}

/// Ends the program so that rr can still close the trace: first as asked, then by force; rr itself
/// only if it does not end either.
void stop_program(Process& rr, int first_signal) {
  signal_tracees(rr.pid(), first_signal);
  if (wait_for(rr, milliseconds(1000))) return;
  // New processes may appear while the old ones die.
  for (int i = 0; i < 20; ++i) {
    signal_tracees(rr.pid(), SIGKILL);
    if (wait_for(rr, milliseconds(250))) return;
  }
  rr.signal(SIGTERM);  // rr ends the recording in good order
  if (wait_for(rr, milliseconds(2000))) return;
  rr.kill();  // the tracees die with it (PTRACE_O_EXITKILL)
}

}  // namespace

Result<Attempt> run_attempt(const RecordOptions& options, const RrProgram& rr, Engine engine,
                            const fs::path& trace, int stdin_fd, const TicksSettings& ticks,
                            const ProcessorClaim* processor, Progress& progress) {
  ProcessOptions child;
  child.argv = {rr.path};
  child.argv.insert(child.argv.end(), options.rr_options.begin(), options.rr_options.end());
  child.argv.emplace_back("record");
  // No syscall buffer: with software ticks a replay would diverge, and the passes name moments by the
  // system calls that they see, which buffered ones are not.
  child.argv.emplace_back("-n");
  // A chance to switch threads at each event, since there are no others.
  if (engine == Engine::software) child.argv.insert(child.argv.end(), {"-c", "1"});
  if (processor != nullptr) {
    child.argv.push_back("--bind-to-cpu=" + std::to_string(processor->processor()));
  }
  child.argv.insert(child.argv.end(), {"-o", trace.string(), "--"});
  child.argv.insert(child.argv.end(), options.command.begin(), options.command.end());
  child.stdin_fd = stdin_fd;
  // A program that reads the terminal must stay in the terminal's foreground group.
  child.own_group = ::isatty(stdin_fd) == 0;
  const auto shown = [&](int fd) {
    OutputMode mode;
    mode.kind = fd >= 0 ? OutputMode::Kind::tee : OutputMode::Kind::capture;
    mode.fd = fd;
    mode.limit = options.output_limit;
    return mode;
  };
  child.out = shown(options.out_fd);
  child.err = shown(options.err_fd);

  int fds[2];
  if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
    return Error{ErrorCode::io, std::string("cannot create a pipe: ") + ::strerror(errno)};
  }
  ReportReader report{FileDescriptor(fds[0])};
  FileDescriptor report_write(fds[1]);
  if (engine != Engine::hardware || needs_maps_merged(rr, has_split_vvar())) {
    CULPRIT_ASSIGN(const fs::path agent, agent::find_agent());
    agent::AgentConfig config;
    config.mode = agent::AgentConfig::Mode::record;
    if (engine == Engine::hardware) config.ticks = agent::AgentConfig::Ticks::hardware;
    if (engine == Engine::exact) {
      config.ticks = agent::AgentConfig::Ticks::exact;
      config.most_steps = options.most_steps;
    }
    config.report_fd = report_write.get();
    config.hold_ms = static_cast<std::uint32_t>(ticks.hold_limit.count());
    config.starve_ms = static_cast<std::uint32_t>(ticks.starve_limit.count());
    config.learn_ms = static_cast<std::uint32_t>(ticks.learn_after.count());
    config.fixed_addresses = ticks.fixed_addresses;
    config.landings = ticks.landings;
    agent::preload_agent(child, agent, config);
  }

  Attempt attempt;
  const auto start = Clock::now();
  CULPRIT_ASSIGN(Process process, Process::start(child));
  report_write.reset();
  for (;;) {
    milliseconds slice(200);
    if (options.timeout) {
      const auto left = *options.timeout -
                        std::chrono::duration_cast<milliseconds>(Clock::now() - start);
      slice = std::clamp(left, milliseconds(0), slice);
    }
    const auto status = process.wait(slice);
    report.drain(attempt);
    progress.tick();
    if (!status.ok()) {
      if (status.error().code != ErrorCode::interrupted) return status.error();
      attempt.interrupted = true;
      stop_program(process, SIGINT);
      break;
    }
    if (status->has_value()) break;
    if (options.timeout && Clock::now() - start >= *options.timeout) {
      attempt.timed_out = true;
      stop_program(process, SIGTERM);
      break;
    }
  }
  const auto status = process.wait(milliseconds(0), /*interruptible=*/false);
  if (status.ok() && status->has_value()) attempt.status = **status;
  report.drain(attempt);
  attempt.out = process.captured_out();
  attempt.err = process.captured_err();
  attempt.elapsed = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
  std::error_code code;
  // rr renames "incomplete" to "version" when all is written (TraceWriter::close).
  attempt.complete =
      fs::exists(trace / "version", code) && !fs::exists(trace / "incomplete", code);
  if (engine != Engine::hardware && !report.ready() && !attempt.complete && !attempt.refused) {
    attempt.refused.emplace().why =
        "the software ticks library was not loaded into rr (is rr set-uid, or static?)";
  }
  return attempt;
}

}  // namespace culprit::recorder
