#include "report/write.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "report/json.h"
#include "report/limits.h"

namespace culprit::report {
namespace {

Status write_all(int descriptor, std::string_view contents) {
  while (!contents.empty()) {
    const ssize_t written = ::write(descriptor, contents.data(), contents.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return Error{ErrorCode::io,
                   fmt::format("cannot write to standard output: {}", std::strerror(errno))};
    }
    contents.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<std::string> read_all(int descriptor, std::size_t limit) {
  std::string contents;
  char buffer[64 * 1024];
  while (contents.size() <= limit) {
    const ssize_t got = ::read(descriptor, buffer, sizeof(buffer));
    if (got < 0) {
      if (errno == EINTR) continue;
      return Error{ErrorCode::io,
                   fmt::format("cannot read standard input: {}", std::strerror(errno))};
    }
    if (got == 0) return contents;
    contents.append(buffer, static_cast<std::size_t>(got));
  }
  return Error{ErrorCode::bad_input, fmt::format("a report has at most {} MiB", limit >> 20)};
}

}  // namespace

Status write_output(const std::string& path, std::string_view contents) {
  if (path == "-") return write_all(STDOUT_FILENO, contents);
  return write_file_atomically(path, contents);
}

Status write_report(const Report& report, const std::string& path) {
  return write_output(path, to_json_text(report));
}

Result<Report> read_report(const std::string& path) {
  CULPRIT_ASSIGN(const std::string text, path == "-" ? read_all(STDIN_FILENO, kMaxJsonBytes)
                                                     : read_file(path, kMaxJsonBytes));
  Result<Report> report = from_json_text(text);
  if (!report) return report.error().with_context(path == "-" ? "standard input" : path);
  return report;
}

}  // namespace culprit::report
