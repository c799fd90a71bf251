// Looking at a trace directory before rr does, so that what is wrong with it is said in one line.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "recorder/engine_probe.h"

namespace culprit::recorder {

/// A trace directory that looks whole.
struct TraceInfo {
  std::filesystem::path path;          ///< absolute, without symbolic links
  int format = 0;                      ///< rr's trace version, the first line of the file "version"
  std::optional<Engine> engine;        ///< from culprit-record.json, if it was made by this tool
  std::vector<std::string> command;    ///< as above
  std::string working_directory;       ///< as above
  std::optional<int> exit_code;        ///< as above
  std::optional<int> signal;           ///< as above
  std::optional<std::filesystem::path> out;  ///< culprit-stdout, if it is there
  std::optional<std::filesystem::path> err;  ///< culprit-stderr, if it is there
  /// The ticks of the trace are executions of landings (agent/landing_counter.h), not of branches.
  bool has_landings = false;
  /// The ticks of the trace were counted by stepping (agent/exact_ticks.h), not by a counter.
  bool has_exact_ticks = false;
  /// Binaries of the recorded program that are not the same any more. Harmless for the replay (rr
  /// keeps copies), but source lines may be off.
  std::vector<std::string> changed_binaries;
};

/// rr's trace format from 5.6.0 to at least 5.9.0 (TraceStream.cc, TRACE_VERSION).
inline constexpr int supported_trace_format = 85;

/// Examines a trace. Errors (all with one clear line): bad_input (no such directory, not a trace,
/// another format, truncated, recording not finished).
[[nodiscard]] Result<TraceInfo> examine_trace(const std::filesystem::path& path);

/// Turns what rr said at a replay into one line: the last FATAL, or a trace of another CPU, ...
/// Empty if there is nothing that helps.
std::string explain_rr_failure(const std::string& stderr_text);

}  // namespace culprit::recorder
