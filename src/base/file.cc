#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "base/file_descriptor.h"

namespace culprit {
namespace fs = std::filesystem;
namespace {

Error io_error(const fs::path& path, std::string_view what, int number) {
  const ErrorCode code = number == ENOENT ? ErrorCode::not_found : ErrorCode::io;
  return Error{code, std::string(what) + " " + path.string() + ": " + ::strerror(number)};
}

Status write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{ErrorCode::io, "cannot write " + path.string() + ": " + ::strerror(errno)};
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

/// For what is no regular file: a terminal, a pipe, /dev/stderr. A rename would put a file in its place.
Status write_in_place(const fs::path& path, std::string_view contents) {
  FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC));
  if (!fd) return Error{ErrorCode::io, "cannot write " + path.string() + ": " + ::strerror(errno)};
  return write_all(fd.get(), contents, path);
}

}  // namespace

Result<std::string> read_file(const fs::path& path, std::size_t limit) {
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return io_error(path, "cannot open", errno);
  std::string out;
  // Files of /proc have size 0, so the size is only a hint.
  struct stat info {};
  std::size_t hint = 4096;
  if (::fstat(fd.get(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return io_error(path, "cannot read", EISDIR);
    hint = std::max(hint, static_cast<std::size_t>(std::max<off_t>(info.st_size, 0)) + 1);
  }
  for (std::size_t used = 0;;) {
    if (used > limit) {
      return Error{ErrorCode::bad_input,
                   path.string() + " is longer than " + std::to_string(limit) + " bytes"};
    }
    if (used == out.size()) out.resize(std::min(std::max(hint, 2 * used), limit + 1));
    const ssize_t n = ::read(fd.get(), out.data() + used, out.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error(path, "cannot read", errno);
    if (n == 0) {
      out.resize(used);
      return out;
    }
    used += static_cast<std::size_t>(n);
  }
}

Status write_file_atomically(const fs::path& given, std::string_view contents) {
  struct stat info {};
  if (::stat(given.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return write_in_place(given, contents);
  }
  // A symbolic link stays one: the file that it names is replaced.
  std::error_code code;
  const fs::path real = fs::is_symlink(given, code) ? fs::canonical(given, code) : fs::path();
  const fs::path& path = code || real.empty() ? given : real;
  std::string temporary = path.string() + ".XXXXXX";
  FileDescriptor fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return Error{ErrorCode::io, "cannot write " + path.string() + ": " + ::strerror(errno)};
  const auto write = [&]() -> Status {
    CULPRIT_TRY(write_all(fd.get(), contents, path));
    // mkostemp makes it private; a report is as readable as any other file of the user.
    const mode_t mask = ::umask(0);
    ::umask(mask);
    ::fchmod(fd.get(), 0666 & ~mask);
    if (::fsync(fd.get()) != 0 && errno != EINVAL && errno != ENOSYS) {
      return Error{ErrorCode::io, "cannot write " + path.string() + ": " + ::strerror(errno)};
    }
    fd.reset();
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      return Error{ErrorCode::io, "cannot write " + path.string() + ": " + ::strerror(errno)};
    }
    return {};
  };
  Status status = write();
  if (!status.ok()) ::unlink(temporary.c_str());
  return status;
}

Result<fs::path> create_unique_directory(const fs::path& parent, std::string_view prefix) {
  std::error_code code;
  fs::create_directories(parent, code);
  if (code) return Error{ErrorCode::io, "cannot create " + parent.string() + ": " + code.message()};
  // Start after the highest number that is there: a deleted trace's name is not used again while
  // younger ones exist, and a long list is not probed one by one.
  std::uint64_t next = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(parent, code)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    const std::string digits = name.substr(prefix.size());
    if (digits.empty() || digits.size() > 9 ||
        digits.find_first_not_of("0123456789") != std::string::npos) {
      continue;
    }
    next = std::max<std::uint64_t>(next, std::stoull(digits) + 1);
  }
  for (int tries = 0; tries < 1000; ++tries, ++next) {
    const fs::path path = parent / (std::string(prefix) + std::to_string(next));
    if (::mkdir(path.c_str(), 0770) == 0) return path;
    if (errno != EEXIST) return io_error(path, "cannot create", errno);
  }
  return Error{ErrorCode::io, "cannot create a directory in " + parent.string()};
}

Result<std::uint64_t> free_space(const fs::path& path) {
  std::error_code code;
  fs::path existing = fs::absolute(path, code);
  if (code) return Error{ErrorCode::io, path.string() + ": " + code.message()};
  while (!fs::exists(existing, code) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  struct statvfs info {};
  if (::statvfs(existing.c_str(), &info) != 0) return io_error(existing, "cannot examine", errno);
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

Result<TemporaryDirectory> TemporaryDirectory::create(std::string_view prefix) {
  const char* base = ::getenv("TMPDIR");
  std::string name = base != nullptr && base[0] == '/' ? base : "/tmp";
  name += '/';
  name += prefix;
  name += "XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) return io_error(name, "cannot create", errno);
  return TemporaryDirectory(fs::path(name));
}

TemporaryDirectory::TemporaryDirectory(TemporaryDirectory&& other) noexcept
    : path_(std::move(other.path_)) {
  other.path_.clear();
}
TemporaryDirectory& TemporaryDirectory::operator=(TemporaryDirectory&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}
TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

}  // namespace culprit
