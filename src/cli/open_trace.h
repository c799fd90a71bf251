// A trace on disk, opened for replay: what every command that replays begins with.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "recorder/engine_probe.h"
#include "recorder/trace_info.h"
#include "replay/replay.h"
#include "replay/trace_index.h"
#include "report/model.h"

namespace culprit::cli {

/// Everything that is known of an opened trace.
struct OpenTrace {
  recorder::TraceInfo info;
  recorder::RrProgram rr;
  replay::RrCommand command;
  std::shared_ptr<const replay::TraceIndex> index;
  std::unique_ptr<replay::Replay> replay;
};

/// Examines the trace, reads its index, chooses the engine. Errors: bad_input (no trace,
/// truncated), cannot_record (no rr), replay_failed (it needs a counter that is not here), timeout.
[[nodiscard]] Result<OpenTrace> open_trace(const std::filesystem::path& trace,
                                           std::chrono::milliseconds timeout, Progress& progress);

/// The members of a report that the trace itself tells.
void describe_trace(const OpenTrace& trace, report::Tool& tool, report::Program& program,
                    report::Trace& recording, report::Engine& engine);

}  // namespace culprit::cli
