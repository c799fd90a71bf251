#include "batch/results_file.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/file.h"

namespace culprit::batch {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxResultsBytes = std::size_t{4} << 30;

Error io_error(const fs::path& path, int number) {
  return Error{ErrorCode::io, path.string() + ": " + ::strerror(number)};
}

/// Where the last whole line ends. Errors: io.
Result<off_t> end_of_lines(int fd, const fs::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return io_error(path, errno);
  off_t end = info.st_size;
  std::string piece(64 * 1024, '\0');
  while (end > 0) {
    const off_t from = std::max<off_t>(0, end - static_cast<off_t>(piece.size()));
    const ssize_t got = ::pread(fd, piece.data(), static_cast<std::size_t>(end - from), from);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return io_error(path, got < 0 ? errno : EIO);
    const std::string_view text(piece.data(), static_cast<std::size_t>(got));
    const std::size_t feed = text.rfind('\n');
    if (feed != std::string_view::npos) return from + static_cast<off_t>(feed) + 1;
    end = from;
  }
  return end;
}

void read_lines(std::string_view text, const std::string& name, EarlierResults& into) {
  for (std::size_t number = 1;; ++number) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return;  // torn, or nothing
    Result<CaseResult> result = from_line(text.substr(0, end));
    text.remove_prefix(end + 1);
    if (result.ok()) {
      std::string id = result->id;
      into.by_id.insert_or_assign(std::move(id), *std::move(result));
    } else {
      into.unreadable.push_back(
          fmt::format("{}: line {}: {}", name, number, result.error().message));
    }
  }
}

}  // namespace

std::string results_name(const Shard& shard) {
  if (shard.count == 1) return "results.jsonl";
  return fmt::format("results-{}-of-{}.jsonl", shard.index, shard.count);
}

Result<ResultsFile> ResultsFile::open(const fs::path& path) {
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666));
  if (!file) return io_error(path, errno);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return io_error(path, errno);
    return Error{ErrorCode::usage, path.string() + ": another culprit batch writes to it"};
  }
  CULPRIT_ASSIGN(const off_t end, end_of_lines(file.get(), path));
  if (::ftruncate(file.get(), end) != 0) return io_error(path, errno);
  return ResultsFile(std::move(file), path);
}

Status ResultsFile::append(const CaseResult& result) {
  const std::string line = to_line(result);
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) return io_error(path_, errno);
  ssize_t written = 0;
  do {
    written = ::write(file_.get(), line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  if (written != static_cast<ssize_t>(line.size())) {
    const int number = written < 0 ? errno : ENOSPC;  // a short write: the disk is full
    [[maybe_unused]] const int cut = ::ftruncate(file_.get(), info.st_size);
    return io_error(path_, number);
  }
  if (::fdatasync(file_.get()) != 0 && errno != EINVAL && errno != ENOSYS) {
    return io_error(path_, errno);
  }
  return {};
}

Result<EarlierResults> read_results(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code code;
  for (auto it = fs::directory_iterator(directory, code); !code && it != fs::directory_iterator();
       it.increment(code)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with("results") && name.ends_with(".jsonl")) files.push_back(it->path());
  }
  if (code) {
    return Error{ErrorCode::io, "cannot search " + directory.string() + ": " + code.message()};
  }
  std::sort(files.begin(), files.end());
  EarlierResults results;
  for (const fs::path& file : files) {
    CULPRIT_ASSIGN(const std::string text, read_file(file, kMaxResultsBytes));
    read_lines(text, file.filename().string(), results);
  }
  return results;
}

}  // namespace culprit::batch
