// The moment that a triage begins at: the failure, or another one that the user chooses.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/pattern.h"
#include "base/result.h"
#include "binary/module_map.h"
#include "replay/output_writes.h"
#include "replay/replay.h"
#include "replay/trace_index.h"
#include "report/model.h"

namespace culprit::provenance {

/// A moment as the user names it.
struct CrashPoint {
  enum class Kind : std::uint8_t {
    exit,      ///< "exit": the call that ends the process, whatever its status
    write,     ///< "write:REGEX": the write to stdout or stderr that completes a match
    function,  ///< "fn:SYMBOL" or "fn:SYMBOL#K": the K-th entry of a function, from 1
  };
  Kind kind = Kind::exit;
  std::optional<Pattern> pattern;
  std::string function;
  std::uint64_t ordinal = 1;
};

/// Errors: usage.
[[nodiscard]] Result<CrashPoint> parse_crash_point(std::string_view text);

/// The output of the recorded program, asked for where it is needed: replay::output_writes.
using OutputSource = std::function<Result<std::vector<replay::OutputWrite>>()>;

/// A chosen moment.
struct ChosenPoint {
  replay::CrashCandidate moment;
  std::string message;  ///< for people: the line that was written; empty for the others
};

/// Finds the moment in `process`, else in any process for a write, and in the one that failed (the
/// trace's first one if none did) for the others. A pass for a function. Errors: usage (no such
/// process, no write that matches, no such function, not entered so often), those of Replay::run
/// and of the source.
[[nodiscard]] Result<ChosenPoint> find_crash_point(
    replay::Replay& replay, const replay::TraceIndex& index, const CrashPoint& point,
    std::optional<ProcessId> process, const OutputSource& output,
    const binary::DebugFileSearch& debug_files, std::chrono::milliseconds deadline,
    report::Stats& stats);

/// The first of `writes` (ordered by event) with which a match of `pattern` is complete in what its
/// stream's last lines hold: a line may have been written in pieces. Null if there is none.
[[nodiscard]] const replay::OutputWrite* first_match(const std::vector<replay::OutputWrite>& writes,
                                                     const Pattern& pattern);

/// The entry of the call that ended the process, whatever its exit status, or the fatal signal.
/// Errors: usage (no such process in the trace), not_found (the trace does not show its end).
[[nodiscard]] Result<replay::CrashCandidate> end_of_process(const replay::TraceIndex& index,
                                                            ProcessId process);

/// Of `process`, else of the trace: the best candidate of the index, or where nothing failed the
/// end of the process (the trace's first one). Errors: those of end_of_process.
[[nodiscard]] Result<replay::CrashCandidate> failure_or_end(const replay::TraceIndex& index,
                                                            std::optional<ProcessId> process);

}  // namespace culprit::provenance
