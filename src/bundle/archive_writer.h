// Writing a bundle: a tar archive (pax), compressed with zstd, whole or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace culprit::bundle {

/// Writes beside the wanted path; finish() puts it in its place, and without it nothing is left.
/// Only regular files, without owners and times, so that a bundle tells nothing about who made it.
class ArchiveWriter {
 public:
  /// Errors: io.
  [[nodiscard]] static Result<ArchiveWriter> create(const std::filesystem::path& path);
  ArchiveWriter(ArchiveWriter&&) noexcept;
  ArchiveWriter& operator=(ArchiveWriter&&) noexcept;
  ~ArchiveWriter();

  /// Errors: internal (no entry name: entry_name.h), io, interrupted.
  [[nodiscard]] Status add_text(const std::string& name, std::string_view text);
  /// A symbolic link is not followed. Errors: as above; bad_input if it is no regular file, or
  /// changes its size while it is read.
  [[nodiscard]] Status add_file(const std::string& name, const std::filesystem::path& file);
  /// Closes, and replaces what was at the path. Returns the size of the archive in bytes. Errors:
  /// io.
  [[nodiscard]] Result<std::uint64_t> finish();

 private:
  struct State;
  explicit ArchiveWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace culprit::bundle
