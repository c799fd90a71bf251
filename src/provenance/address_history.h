// The history of an address: what `culprit history` answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "provenance/crash_point.h"
#include "replay/replay.h"
#include "replay/trace_index.h"
#include "report/history.h"

namespace culprit::provenance {

/// What is asked for. Either `address` or `expression`.
struct HistoryOptions {
  std::optional<Address> address;
  std::string expression;  ///< see binary/place_expression.h
  std::uint64_t size = 0;  ///< bytes; 0: those of the expression's type if that is 1 to 8, else 8
  std::optional<ProcessId> process;  ///< none: the one that failed, else the first one
  /// Look back from there, not from the failure: then the process may be another one, too.
  std::optional<CrashPoint> point;
  OutputSource output_source;  ///< for `point`, where it is a write
  report::HistoryFilters filters;
  std::size_t limit = 100;  ///< writes that are listed, and regions; 1–1000
  std::chrono::milliseconds timeout{120'000};
  std::vector<std::pair<std::string, std::string>> source_prefixes;
  std::function<void(std::string_view phase, std::uint64_t hits)> progress;
};

/// Looks at the moment of the process's failure (or of its exit), or at the chosen one, and back
/// from there: nothing after it is told. Two or three passes, and one for each caller of a mapping
/// change that is named, at most 16. The tool's, program's and trace's descriptions are the
/// caller's to fill, the process's excepted. Errors: usage (no such process; an expression that
/// names no place, a size that cannot be; find_crash_point), replay_failed, timeout.
[[nodiscard]] Result<report::History> address_history(replay::Replay& replay,
                                                      const replay::TraceIndex& index,
                                                      const HistoryOptions& options);

}  // namespace culprit::provenance
