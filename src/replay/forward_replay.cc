#include "replay/forward_replay.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/file.h"
#include "base/signals.h"
#include "base/subprocess.h"
#include "replay/forward_session.h"
#include "replay/pass_specification.h"
#include "replay/rr_process.h"

namespace culprit::replay {
namespace {

using Clock = std::chrono::steady_clock;

/// False for a task that does not exist, or that is dead and only waits to be reaped by init.
bool is_alive(std::int32_t tid) {
  if (::kill(tid, 0) != 0) return false;
  const auto text = read_file("/proc/" + std::to_string(tid) + "/stat", 4096);
  if (!text.ok()) return false;
  // "pid (name) state ...": the name may hold brackets itself (proc(5)).
  const std::size_t bracket = text->rfind(") ");
  return bracket == std::string::npos || bracket + 2 >= text->size() ||
         ((*text)[bracket + 2] != 'Z' && (*text)[bracket + 2] != 'X');
}

/// Killed tasks are gone a moment after rr; waits for that, so that a caller who sees run() return
/// sees nothing of the replay any more.
void wait_until_gone(const std::vector<std::int32_t>& tasks) {
  const auto end = Clock::now() + std::chrono::seconds(2);
  for (const std::int32_t task : tasks) {
    while (is_alive(task) && Clock::now() < end) ::usleep(500);
  }
}

}  // namespace

ForwardReplay::ForwardReplay(ForwardOptions options) : options_(std::move(options)) {}

Result<std::unique_ptr<Replay>> ForwardReplay::open(ForwardOptions options) {
  std::error_code code;
  if (!std::filesystem::is_directory(options.trace_dir, code)) {
    return Error{ErrorCode::not_found, "no trace directory: " + options.trace_dir.string()};
  }
  const auto rr = find_program(options.command.rr.string());
  if (!rr) return Error{ErrorCode::not_found, "no rr: " + options.command.rr.string()};
  options.command.rr = *rr;
  if (options.command.agent.empty() ||
      !std::filesystem::is_regular_file(options.command.agent, code)) {
    return Error{ErrorCode::not_found, "no agent library: " + options.command.agent.string()};
  }
  options.command.agent = std::filesystem::absolute(options.command.agent, code);
  if (options.command.agent.string().find_first_of(" :") != std::string::npos) {
    return Error{
        ErrorCode::usage,
        "the path of the agent library has a space or a colon, so it cannot be preloaded: " +
            options.command.agent.string()};
  }
  if (options.index == nullptr) {
    CULPRIT_ASSIGN(TraceIndex index,
                   TraceIndex::load(options.trace_dir, options.command, options.index_deadline));
    options.index = std::make_shared<const TraceIndex>(std::move(index));
  }
  return std::unique_ptr<Replay>(new ForwardReplay(std::move(options)));
}

std::string ForwardReplay::engine_name() const {
  if (!options_.ticks.empty()) return options_.ticks + "-ticks/forward";
  return options_.command.software_ticks ? "software-ticks/forward" : "hardware-ticks/forward";
}

Result<PassResult> ForwardReplay::run(const PassSpec& spec, PassObserver& observer) {
  const auto started = Clock::now();
  const auto deadline = started + spec.deadline;
  CULPRIT_TRY(check_interrupt());
  CULPRIT_ASSIGN(const PassOrders orders, make_orders(spec, *options_.index, options_.max_hits));

  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return Error{ErrorCode::io, std::string("cannot make a socket: ") + std::strerror(errno)};
  }
  FileDescriptor ours(ends[0]);
  FileDescriptor theirs(ends[1]);
  ProcessOptions process_options = rr_process_options(options_.command, theirs.get());
  // -q: what the program printed was printed when it was recorded.
  process_options.argv = {options_.command.rr.string(), "replay", "-a", "-q",
                          options_.trace_dir.string()};
  CULPRIT_ASSIGN(Process process, Process::start(process_options));
  theirs.reset();

  ForwardSession session(std::move(ours), orders, spec, observer, deadline);
  Result<PassResult> result = session.run();
  const bool failed = !result.ok();
  // After Done the agent, or rr itself, ends within moments; after a failure there is nothing to
  // wait for, except that rr may still be writing down why it died.
  const bool died = failed && result.error().code == ErrorCode::replay_failed;
  auto status = failed && !died ? Result<std::optional<ExitStatus>>(std::nullopt)
                                : process.wait(std::chrono::milliseconds{5000});
  if (!status.ok() || !*status) process.kill();
  wait_until_gone(session.tasks());
  if (!status.ok() && !failed) return status.error();

  if (failed) {
    if (!died || !result.error().message.empty()) return result.error();
    const std::string how = status.ok() && *status ? (*status)->describe() : "no answer";
    return Error{ErrorCode::replay_failed,
                 "rr replay ended early: " + rr_complaint(process.captured_err().text, how)};
  }
  if (*status && !(*status)->success()) {
    return Error{
        ErrorCode::replay_failed,
        "rr replay failed: " + rr_complaint(process.captured_err().text, (*status)->describe())};
  }
  result->elapsed = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - started);
  return result;
}

}  // namespace culprit::replay
