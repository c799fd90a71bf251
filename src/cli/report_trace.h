// The trace that a report is about.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "recorder/trace_info.h"
#include "report/model.h"

namespace culprit::cli {

/// A report that was named on the command line, and the file that it was read from.
struct NamedReport {
  std::filesystem::path file;  ///< absolute
  report::Report report;
};

/// Reads `name`: a report's JSON, or the folder of a trace with the report that `culprit run` left
/// there. Errors: usage (there is none), and those of report::read_report.
[[nodiscard]] Result<NamedReport> read_named_report(const std::string& name);

/// `named` if it is not empty; else the folder that the report names, or the one that it lies in. A
/// relative path in a report is not looked at. Errors: those of examine_trace; bad_input (there is
/// none).
[[nodiscard]] Result<recorder::TraceInfo> find_trace(const NamedReport& report,
                                                     const std::string& named);

}  // namespace culprit::cli
