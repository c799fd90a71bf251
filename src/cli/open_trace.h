// A trace on disk, opened for replay: what every command that replays begins with.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "cli/search_choice.h"
#include "recorder/engine_probe.h"
#include "recorder/trace_info.h"
#include "replay/replay.h"
#include "replay/reverse_replay.h"
#include "replay/trace_index.h"
#include "report/model.h"

namespace culprit::cli {

/// What to open, and how.
struct TraceToOpen {
  std::filesystem::path path;
  std::chrono::milliseconds timeout{120'000};
  SearchEngine engine = SearchEngine::automatic;
  std::string rsp_log;  ///< reverse: a transcript of all packets goes to this file; empty: none
};

/// Everything that is known of an opened trace.
struct OpenTrace {
  recorder::TraceInfo info;
  recorder::RrProgram rr;
  replay::RrCommand command;
  std::shared_ptr<const replay::TraceIndex> index;
  std::string ticks;  ///< "hardware", "software" or "exact"
  SearchChoice search;
  std::unique_ptr<replay::Replay> replay;
  const replay::ReverseReplay* reverse = nullptr;  ///< `replay`, if it is one
};

/// Examines the trace, reads its index, chooses the engine. Errors: bad_input (no trace,
/// truncated), cannot_record (no rr), replay_failed (it needs a counter that is not here), usage
/// (choose_search), timeout.
[[nodiscard]] Result<OpenTrace> open_trace(const TraceToOpen& wanted, Progress& progress);

/// The members of a report that the trace and its engine tell, when the work is done.
void describe_trace(const OpenTrace& trace, report::Tool& tool, report::Program& program,
                    report::Trace& recording, report::Engine& engine);

}  // namespace culprit::cli
