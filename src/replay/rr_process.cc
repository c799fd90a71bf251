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
    config.control_fd = control_fd;
    agent::preload_agent(options, command.agent, config);
  }
  return options;
}

std::string rr_complaint(std::string_view standard_error, std::string_view fallback) {
  std::string_view best;
  bool important = false;
  while (!standard_error.empty()) {
    const std::size_t end = standard_error.find('\n');
    std::string_view line = standard_error.substr(0, end);
    standard_error.remove_prefix(end == std::string_view::npos ? standard_error.size() : end + 1);
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("===") || line.starts_with("rr(") ||
        line.find(".so.") != std::string_view::npos) {
      continue;
    }
    // "[FATAL ./src/X.cc:12:f()] text" (rr 5.6 src/log.cc); a failed assertion has a line of its
    // own.
    const bool matters = line.starts_with("[FATAL") || line.starts_with("[ERROR") ||
                         line.find("Assertion") != std::string_view::npos;
    if (matters || !important) best = line;
    important |= matters;
  }
  return std::string((best.empty() ? fallback : best).substr(0, 500));
}

}  // namespace culprit::replay
