// culprit-record.json: what this tool knows of a recording and rr does not. Lies in the trace
// directory; never holds the environment.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "recorder/record.h"
#include "recorder/trace_info.h"

namespace culprit::recorder {

inline constexpr char record_file[] = "culprit-record.json";
inline constexpr char stdout_file[] = "culprit-stdout";
inline constexpr char stderr_file[] = "culprit-stderr";

/// Writes the three files into the trace's directory.
[[nodiscard]] Status write_record(const RecordOptions& options, const RecordOutcome& outcome);

/// Reads what write_record() wrote into `info`, as far as it is there and well-formed, and looks
/// whether binaries have changed. Errors: bad_input if a file that rr shares with the system was
/// changed in place, since then the trace cannot be replayed any more.
[[nodiscard]] Status read_record(TraceInfo& info);

}  // namespace culprit::recorder
