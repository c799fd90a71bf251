// From a trace on disk to a finished report: what `culprit triage` and `culprit run` share.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "cli/search_choice.h"
#include "crash/overrides.h"
#include "provenance/asked_moment.h"
#include "provenance/crash_point.h"
#include "report/model.h"

namespace culprit::cli {

/// What to do with a trace.
struct TriageRequest {
  std::filesystem::path trace;
  std::uint32_t max_hops = 32;
  std::chrono::milliseconds timeout{120'000};
  bool timeout_grows = false;  ///< nobody named a timeout: long traces get more than that
  std::optional<std::int32_t> pid;
  SearchEngine engine = SearchEngine::automatic;
  std::string rsp_log;  ///< reverse: a transcript of all packets is written to this file; empty: none
  crash::Overrides overrides;
  std::optional<provenance::CrashPoint> point;  ///< begin there in place of the failure
  /// Begin there, with the slot that is named, not at a crash. Not together with `point`.
  std::optional<provenance::AskedMoment> at;
  std::uint32_t slot_size = 0;  ///< bytes of the slot that is named; 0: of its type, else 8
  std::vector<std::pair<std::string, std::string>> source_prefixes;
  std::vector<std::string> debug_directories;  ///< looked into before the system's
  unsigned attempts = 0;  ///< recordings that were made, for the report; 0: not known
};

/// Examines the trace, follows the chain, judges it. Errors: bad_input (no trace, truncated),
/// did_not_fail, cannot_record (no rr), replay_failed, timeout. An incomplete chain is a report, not an
/// error.
[[nodiscard]] Result<report::Report> triage(const TriageRequest& request, Progress& progress);

/// Where and how a report is shown.
struct ReportOutput {
  std::string json;         ///< "-": stdout, a path, or empty: not at all
  bool text = true;         ///< the text form on stdout, unless the JSON goes there
  bool backtraces = false;
};

/// Writes the JSON (atomically) and prints the text. Errors: io.
[[nodiscard]] Status show_report(const report::Report& report, const ReportOutput& output);

/// 0 if the chain is complete, 3 if not.
[[nodiscard]] int exit_code_of(const report::Report& report);

}  // namespace culprit::cli
