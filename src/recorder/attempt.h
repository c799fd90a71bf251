// One run of a program under rr.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/subprocess.h"
#include "recorder/record.h"
#include "recorder/software_plan.h"

namespace culprit::recorder {

/// What came out of one run of rr, whatever it was.
struct Attempt {
  ExitStatus status;
  CapturedOutput out;
  CapturedOutput err;
  bool complete = false;     ///< rr closed the trace
  bool timed_out = false;
  bool interrupted = false;
  std::optional<Refused> refused;  ///< the agent ended the recording
  TicksStatistics ticks;
  std::chrono::milliseconds elapsed{0};
};

/// Runs it. `trace` must not exist; rr creates it. `stdin_fd` is the program's stdin; `ticks` is for
/// the software engine; it runs on `processor`, if that is not null. Errors: io, not_found (the agent).
[[nodiscard]] Result<Attempt> run_attempt(const RecordOptions& options, const RrProgram& rr,
                                          Engine engine, const std::filesystem::path& trace,
                                          int stdin_fd, const TicksSettings& ticks,
                                          const ProcessorClaim* processor, Progress& progress);

}  // namespace culprit::recorder
