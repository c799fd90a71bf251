// The agent's constructor: runs in rr before its main().
#include "agent/start.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <string_view>

#include "agent/config.h"
#include "agent/exact_ticks.h"
#include "agent/kernel.h"
#include "agent/landing_counter.h"
#include "agent/perf_counters.h"
#include "agent/replay_landings.h"
#include "agent/report.h"
#include "agent/test_unsound.h"
#include "agent/ticks_record.h"
#include "agent/watchdog.h"

namespace culprit::agent {
namespace {

/// Without a configuration (a user's own `LD_PRELOAD=libculprit-agent.so rr ...`): record if rr's
/// first word says so.
AgentConfig config_from_command_line() {
  AgentConfig config;
  char text[4096];
  const long fd =
      kernel_call(SYS_openat, AT_FDCWD, to_register("/proc/self/cmdline"), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return config;
  const long n = kernel_call(SYS_read, fd, to_register(&text[0]), sizeof text);
  kernel_call(SYS_close, fd);
  std::string_view rest(text, n > 0 ? static_cast<std::size_t>(n) : 0);
  for (int word = 0; !rest.empty(); ++word) {
    const std::string_view argument = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(argument.size() < rest.size() ? argument.size() + 1 : rest.size());
    if (word == 0 || argument.starts_with('-')) continue;
    if (argument == "record") config.mode = AgentConfig::Mode::record;
    break;
  }
  return config;
}

/// What LD_PRELOAD names besides this library.
std::optional<std::string> other_preloads(std::string_view value) {
  std::string others;
  while (!value.empty()) {
    const std::size_t end = value.find_first_of(" :");
    const std::string_view entry = value.substr(0, end);
    value.remove_prefix(end == std::string_view::npos ? value.size() : end + 1);
    if (entry.empty() || entry.ends_with("libculprit-agent.so")) continue;
    if (!others.empty()) others += ':';
    others += entry;
  }
  if (others.empty()) return std::nullopt;
  return others;
}

void set_or_unset(const char* name, const std::optional<std::string>& value) {
  if (value) {
    ::setenv(name, value->c_str(), 1);
  } else {
    ::unsetenv(name);
  }
}

void count_landings(const LandingSet& landings, bool replaying) {
  if (landings.empty()) return;
  landing_counter().start(landings, 0, replaying);
  if (test_unsound) return;
  set_ticks_source({[](pid_t tid) -> unsigned long long { return landing_counter().ticks(tid); },
                    [](pid_t tid) { landing_counter().reset(tid); },
                    nullptr});
}

void count_exactly(std::uint64_t most_steps) {
  exact_ticks().start(most_steps);
  set_ticks_source({[](pid_t tid) -> unsigned long long { return exact_ticks().ticks(tid); },
                    [](pid_t tid) { exact_ticks().reset(tid); },
                    [](pid_t tid, int fd, unsigned long long period) {
                      exact_ticks().set_period(tid, fd, period);
                    }});
}

[[gnu::constructor]] void start() {
  const char* text = ::getenv(config_variable);
  std::optional<AgentConfig> config;
  if (text != nullptr) config = decode(text);
  if (config) {
    set_or_unset(config_variable, config->user_config);
    set_or_unset("LD_PRELOAD", config->user_preload);
  } else {
    config = config_from_command_line();
    const char* preload = ::getenv("LD_PRELOAD");
    set_or_unset("LD_PRELOAD", other_preloads(preload != nullptr ? preload : ""));
  }

  // Mapped by now; the recorded program must not inherit it.
  if (config->library_fd > 2) kernel_call(SYS_close, config->library_fd);

  const bool hardware = config->ticks == AgentConfig::Ticks::hardware;
  if (hardware) use_hardware_counters();
  if (config->mode == AgentConfig::Mode::record) {
    open_report(config->report_fd);
    report_line("ready");
    // With real ticks rr can land a signal or a preemption anywhere, and find it again.
    if (hardware) return;
    if (config->ticks == AgentConfig::Ticks::exact) {
      count_exactly(config->most_steps);
      return;
    }
    // Lives as long as rr: its threads may wait until the very end.
    if (config->fixed_addresses) {
      // The recorded program inherits it.
      const int now = ::personality(0xffffffff);
      if (now >= 0) ::personality(static_cast<unsigned long>(now) | ADDR_NO_RANDOMIZE);
    }
    count_landings(config->landings, /*replaying=*/false);
    install_filter(new RecordFilter(config->learn_ms != 0));
    start_watchdog({config->hold_ms, config->starve_ms, config->learn_ms});
    return;
  }
  const bool exact = config->ticks == AgentConfig::Ticks::exact ||
                     (!hardware && trace_has_exact_ticks());
  if (exact) count_exactly(/*most_steps=*/0);
  // A hardware trace has none, and one with exact ticks needs none.
  const LandingSet landings = hardware || exact ? LandingSet() : landings_of_trace();
  count_landings(landings, /*replaying=*/true);
  if (config->control_fd >= 0 && start_pass_if_requested != nullptr) {
    kernel_call(SYS_fcntl, config->control_fd, F_SETFD, FD_CLOEXEC);
    start_pass_if_requested(config->control_fd);
  } else if (!landings.empty()) {
    install_filter(new ReplayLandings);
  }
}

}  // namespace
}  // namespace culprit::agent
