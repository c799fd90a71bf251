#include "cli/report_trace.h"

#include <system_error>
#include <utility>

#include "report/write.h"

namespace culprit::cli {
namespace fs = std::filesystem;

Result<NamedReport> read_named_report(const std::string& name) {
  NamedReport out;
  std::error_code code;
  out.file = fs::absolute(name, code);
  if (fs::is_directory(out.file, code)) out.file /= "culprit-report.json";
  auto report = report::read_report(out.file.string());
  if (!report.ok()) {
    // A file that was named and is not there is a mistake of the call.
    const bool missing = report.error().code == ErrorCode::not_found;
    return missing ? Error{ErrorCode::usage, report.error().message} : report.error();
  }
  out.report = *std::move(report);
  return out;
}

Result<recorder::TraceInfo> find_trace(const NamedReport& report, const std::string& named) {
  if (!named.empty()) return recorder::examine_trace(named);
  const std::string& said = report.report.trace.directory;
  std::error_code code;
  if (said.starts_with('/') && fs::is_directory(said, code)) return recorder::examine_trace(said);
  if (auto beside = recorder::examine_trace(report.file.parent_path()); beside.ok()) return beside;
  return Error{ErrorCode::bad_input,
               "the report's trace is not here any more; say where it is with --trace DIR"};
}

}  // namespace culprit::cli
