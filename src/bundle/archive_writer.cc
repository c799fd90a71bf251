#include "bundle/archive_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "base/signals.h"
#include "bundle/entry_name.h"

namespace culprit::bundle {
namespace fs = std::filesystem;

struct ArchiveWriter::State {
  fs::path path;
  std::string temporary;  ///< empty once it is in its place
  FileDescriptor file;
  archive* handle = nullptr;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (handle != nullptr) ::archive_write_free(handle);
    if (!temporary.empty()) ::unlink(temporary.c_str());
  }

  [[nodiscard]] Error error(std::string_view what) const {
    const char* why = handle != nullptr ? ::archive_error_string(handle) : nullptr;
    return Error{ErrorCode::io, path.string() + ": " + std::string(what) + ": " +
                                    (why != nullptr ? why : "failed")};
  }

  [[nodiscard]] Status begin(const std::string& name, std::uint64_t size) const {
    if (!is_entry_name(name)) {
      return Error{ErrorCode::internal, "no name for an entry of a bundle: " + name};
    }
    const std::unique_ptr<archive_entry, decltype(&::archive_entry_free)> entry(
        ::archive_entry_new(), &::archive_entry_free);
    ::archive_entry_set_pathname(entry.get(), name.c_str());
    ::archive_entry_set_filetype(entry.get(), AE_IFREG);
    ::archive_entry_set_perm(entry.get(), 0600);
    ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
    ::archive_entry_set_mtime(entry.get(), 0, 0);
    if (::archive_write_header(handle, entry.get()) != ARCHIVE_OK) return error(name);
    return {};
  }

  [[nodiscard]] Status write(std::string_view bytes) const {
    while (!bytes.empty()) {
      CULPRIT_TRY(check_interrupt());
      const la_ssize_t n = ::archive_write_data(handle, bytes.data(), bytes.size());
      if (n <= 0) return error("cannot write");
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
  }
};

ArchiveWriter::ArchiveWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArchiveWriter::ArchiveWriter(ArchiveWriter&&) noexcept = default;
ArchiveWriter& ArchiveWriter::operator=(ArchiveWriter&&) noexcept = default;
ArchiveWriter::~ArchiveWriter() = default;

Result<ArchiveWriter> ArchiveWriter::create(const fs::path& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  std::string name = path.string() + ".XXXXXX";
  state->file = FileDescriptor(::mkostemp(name.data(), O_CLOEXEC));
  if (!state->file) {
    return Error{ErrorCode::io, "cannot write " + path.string() + ": " + std::strerror(errno)};
  }
  state->temporary = std::move(name);
  state->handle = ::archive_write_new();
  if (state->handle == nullptr ||
      ::archive_write_set_format_pax_restricted(state->handle) != ARCHIVE_OK ||
      ::archive_write_add_filter_zstd(state->handle) != ARCHIVE_OK ||
      ::archive_write_open_fd(state->handle, state->file.get()) != ARCHIVE_OK) {
    return state->error("cannot begin an archive");
  }
  return ArchiveWriter(std::move(state));
}

Status ArchiveWriter::add_text(const std::string& name, std::string_view text) {
  CULPRIT_TRY(state_->begin(name, text.size()));
  return state_->write(text);
}

Status ArchiveWriter::add_file(const std::string& name, const fs::path& file) {
  const FileDescriptor source(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (!source || ::fstat(source.get(), &info) != 0) {
    return Error{ErrorCode::io, file.string() + ": " + std::strerror(errno)};
  }
  if (!S_ISREG(info.st_mode)) {
    return Error{ErrorCode::bad_input, file.string() + ": not a regular file"};
  }
  auto left = static_cast<std::uint64_t>(info.st_size);
  CULPRIT_TRY(state_->begin(name, left));
  std::vector<char> piece(std::size_t{1} << 20);
  while (left > 0) {
    const ssize_t n =
        ::read(source.get(), piece.data(), std::min<std::uint64_t>(piece.size(), left));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{ErrorCode::io, file.string() + ": " + std::strerror(errno)};
    if (n == 0) return Error{ErrorCode::bad_input, file.string() + ": it became shorter"};
    CULPRIT_TRY(state_->write(std::string_view(piece.data(), static_cast<std::size_t>(n))));
    left -= static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<std::uint64_t> ArchiveWriter::finish() {
  if (::archive_write_close(state_->handle) != ARCHIVE_OK) return state_->error("cannot write");
  const auto failed = [this] {
    return Error{ErrorCode::io,
                 "cannot write " + state_->path.string() + ": " + std::strerror(errno)};
  };
  struct stat info {};
  // It stays private (mkostemp): a bundle holds the program's memory.
  if (::fsync(state_->file.get()) != 0 || ::fstat(state_->file.get(), &info) != 0 ||
      ::rename(state_->temporary.c_str(), state_->path.c_str()) != 0) {
    return failed();
  }
  state_->temporary.clear();
  return static_cast<std::uint64_t>(info.st_size);
}

}  // namespace culprit::bundle
