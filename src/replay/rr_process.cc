#include "replay/rr_process.h"

#include "agent/launch.h"

namespace culprit::replay {

ProcessOptions rr_process_options(const RrCommand& command, int control_fd) {
  ProcessOptions options;
  options.out.kind = OutputMode::Kind::discard;
  options.err.kind = OutputMode::Kind::capture;
  options.err.limit = std::size_t{64} << 10;
  // Logging that the user asked for elsewhere would drown rr's own complaint.
  options.unset_environment = {"RR_LOG", "LD_PRELOAD"};
  if (!command.agent.empty()) {
    agent::AgentConfig config;
    config.mode = agent::AgentConfig::Mode::replay;
    if (!command.software_ticks) config.ticks = agent::AgentConfig::Ticks::hardware;
    config.control_fd = control_fd;
    agent::preload_agent(options, command.agent, config);
  }
  return options;
}

std::string rr_complaint(std::string_view standard_error, std::string_view fallback) {
  // A failed check prints "[FATAL ./src/X.cc:12:f()]", then " (task ...)", then " -> Assertion
  // `...' failed to hold. why", each on its own line, then a backtrace (rr 5.6 src/log.cc). The
  // assertion says most.
  enum Rank { none, plain, fatal, assertion };
  std::string_view best;
  Rank best_rank = none;
  while (!standard_error.empty()) {
    const std::size_t end = standard_error.find('\n');
    std::string_view line = standard_error.substr(0, end);
    standard_error.remove_prefix(end == std::string_view::npos ? standard_error.size() : end + 1);
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
    while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
    if (line.empty() || line.starts_with("===") || line.find(")[0x") != std::string_view::npos ||
        line.find("emergency_debug") != std::string_view::npos ||
        line.starts_with("Tail of trace dump")) {
      continue;
    }
    const Rank rank = line.find("Assertion") != std::string_view::npos           ? assertion
                      : line.starts_with("[FATAL") || line.starts_with("[ERROR") ? fatal
                                                                                 : plain;
    // The first of the important ones is the cause; of the others the last is the most telling.
    if (rank > best_rank || (rank == plain && best_rank == plain)) {
      best = line;
      best_rank = rank;
    }
  }
  return std::string((best.empty() ? fallback : best).substr(0, 500));
}

}  // namespace culprit::replay
