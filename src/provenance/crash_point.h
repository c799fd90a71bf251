// The moment that the program is looked at: of its failure, or of its end.
#pragma once

#include <optional>

#include "base/result.h"
#include "replay/trace_index.h"

namespace culprit::provenance {

/// The entry of the call that ended the process, whatever its exit status, or the fatal signal.
/// Errors: usage (no such process in the trace), not_found (the trace does not show its end).
[[nodiscard]] Result<replay::CrashCandidate> end_of_process(const replay::TraceIndex& index,
                                                            ProcessId process);

/// Of `process`, else of the trace: the best candidate of the index, or where nothing failed the
/// end of the process (the trace's first one). Errors: those of end_of_process.
[[nodiscard]] Result<replay::CrashCandidate> failure_or_end(const replay::TraceIndex& index,
                                                            std::optional<ProcessId> process);

}  // namespace culprit::provenance
