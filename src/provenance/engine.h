// The hop engine: from a failed recording to the chain of hops that explains its bad value.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "crash/overrides.h"
#include "provenance/asked_moment.h"
#include "provenance/crash_point.h"
#include "replay/replay.h"
#include "replay/trace_index.h"
#include "report/model.h"

namespace culprit::provenance {

/// What a triage needs besides the replay.
struct TriageOptions {
  std::uint32_t max_hops = 32;                    ///< of the main line; 1–1000
  std::chrono::milliseconds timeout{120'000};     ///< for everything
  /// The timeout is a guess: a long trace gets more, once the first pass has told how long a replay takes.
  bool timeout_grows = false;
  /// While nobody knows how long a replay takes.
  [[nodiscard]] std::chrono::milliseconds first_timeout() const {
    constexpr std::chrono::milliseconds kFirstPass{900'000};
    return timeout_grows ? std::max(timeout, kFirstPass) : timeout;
  }
  std::optional<ProcessId> process;               ///< which process failed; chosen if not given
  crash::Overrides overrides;
  std::optional<CrashPoint> point;                ///< begins there in place of the failure
  OutputSource output_source;                     ///< for `point`, where it is a write
  /// Begin here, with the slot that `overrides` names, and not at a crash: the trace need have none.
  /// Not together with `point`.
  std::optional<AskedMoment> at;
  /// Bytes of the slot that `overrides` names, 1–8; 0: those of the expression's type, else 8.
  std::uint32_t slot_size = 0;
  std::string output;                             ///< what the program wrote to stderr, bounded
  std::vector<std::pair<std::string, std::string>> source_prefixes;  ///< recorded prefix, local prefix
  /// Folders of separate debug files that are looked into before the system's.
  std::vector<std::string> debug_directories;
  std::string revisit_prefix;                     ///< shell words before "rr replay", may be empty
  std::string trace_directory;
  /// Called when a phase begins ("finding the last writer of 0x…"), with the hits so far.
  std::function<void(std::string_view phase, std::uint64_t hits)> progress;
};

/// Follows the chain as far as it goes. The report's crash, suspect, hops, stats, warnings and
/// verdict.stopped_because are filled; the verdict itself is verdict/'s, the program's and trace's
/// description the caller's. Errors: did_not_fail (the trace records no failure), replay_failed and
/// timeout before the crash was reached, usage (no such process). After the crash was reached, trouble
/// only ends the chain: see stopped_because.
[[nodiscard]] Result<report::Report> follow_chain(replay::Replay& replay,
                                                  const replay::TraceIndex& index,
                                                  const TriageOptions& options);

}  // namespace culprit::provenance
