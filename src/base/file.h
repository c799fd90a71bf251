// Reading and writing whole files, carefully.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace culprit {

/// The whole file, also of /proc. Errors: not_found, io; bad_input if it is longer than `limit`.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit);

/// Writes through a temporary file in the same directory, fsync and rename, so that `path` holds
/// either its old contents or all of the new ones. Where `path` is no regular file (a pipe, a terminal,
/// a device), writes straight to it; a symbolic link stays one. Errors: io (and the temporary is gone).
[[nodiscard]] Status write_file_atomically(const std::filesystem::path& path,
                                           std::string_view contents);

/// Creates `parent`/`prefix`N with the first free number N >= 0 (as rr does) and the parents of it.
[[nodiscard]] Result<std::filesystem::path> create_unique_directory(
    const std::filesystem::path& parent, std::string_view prefix);

/// Free bytes for this user on the file system of `path` or of its nearest existing parent.
[[nodiscard]] Result<std::uint64_t> free_space(const std::filesystem::path& path);

/// A directory under $TMPDIR (or /tmp) that is removed with all its contents at the end.
class TemporaryDirectory {
 public:
  [[nodiscard]] static Result<TemporaryDirectory> create(std::string_view prefix);
  TemporaryDirectory(TemporaryDirectory&& other) noexcept;
  TemporaryDirectory& operator=(TemporaryDirectory&& other) noexcept;
  ~TemporaryDirectory();
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace culprit
