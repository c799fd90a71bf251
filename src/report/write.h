// Writing finished reports to files.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "report/model.h"

namespace culprit::report {

/// Writes `contents` to the file `path` (whole or not at all), or to standard output if it is "-".
/// Errors: io, with the path.
[[nodiscard]] Status write_output(const std::string& path, std::string_view contents);

/// The report's JSON (to_json_text) through write_output.
[[nodiscard]] Status write_report(const Report& report, const std::string& path);

/// Reads a report from a file, or from standard input if `path` is "-". Errors: not_found, io,
/// bad_input (see from_json_text), with the path.
[[nodiscard]] Result<Report> read_report(const std::string& path);

}  // namespace culprit::report
