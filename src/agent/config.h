// What the driver tells the agent, through one environment variable of the rr process:
//
//   CULPRIT_AGENT=v1;mode=record;ticks=software;report=7;hold_ms=3000;starve_ms=5000;
//                 preload=<hex>;own=<hex>                                     (one line)
//
// The agent takes the variable out of the environment (and LD_PRELOAD too), and puts back what the
// user had under both names, so that the recorded program sees its own environment only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/landing_set.h"

namespace culprit::agent {

/// The name of the variable.
inline constexpr char config_variable[] = "CULPRIT_AGENT";

/// Settings of one rr process. Descriptors are -1 where there is none.
struct AgentConfig {
  enum class Mode : std::uint8_t {
    record,  ///< with software ticks, asynchronous signals are kept out of user code
    replay,  ///< a pass, if there is a control descriptor
  };
  Mode mode = Mode::replay;
  /// Who counts for rr.
  enum class Ticks : std::uint8_t {
    software,  ///< the agent: constant readings, see perf_counters.h; a replay of a trace that has
               ///< exact ticks takes those by itself
    exact,     ///< the agent: each instruction is stepped, see exact_ticks.h
    hardware,  ///< the CPU: nothing of rr's counters is touched, and recording needs no holding back
               ///< of signals; what is left are the passes and the merged lines of /proc/PID/maps
  };
  Ticks ticks = Ticks::software;
  int report_fd = -1;   ///< record: the agent writes lines here, see report.h
  int control_fd = -1;  ///< replay: the socket of the pass engine
  int library_fd = -1;  ///< the agent's own file, if it was loaded through /proc/self/fd
  std::uint32_t hold_ms = 3000;    ///< a signal held for longer ends the recording
  std::uint32_t starve_ms = 5000;  ///< a task that keeps others from running for longer ends it
  /// Record: a task that keeps others from running for longer is looked at, to learn a landing; 0:
  /// never.
  std::uint32_t learn_ms = 0;
  /// Record: no address space randomisation, so that a landing learnt in one run holds in the next.
  bool fixed_addresses = false;
  std::uint64_t most_steps = 0;  ///< record, exact ticks: more instructions are refused; 0: no limit
  LandingSet landings;  ///< record: counted from the beginning; a replay finds them in the trace
  std::optional<std::string> user_preload;  ///< the user's own LD_PRELOAD
  std::optional<std::string> user_config;   ///< the user's own variable of this name
};

/// The variable's value.
[[nodiscard]] std::string encode(const AgentConfig& config);

/// The inverse. Nothing if the text is not of this version or malformed; unknown keys are ignored.
[[nodiscard]] std::optional<AgentConfig> decode(std::string_view text);

}  // namespace culprit::agent
