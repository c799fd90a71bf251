// Unpacking a bundle that anybody may have made.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"
#include "bundle/manifest.h"

namespace culprit::bundle {

/// How much an archive may unpack to.
struct UnpackLimits {
  std::uint64_t files = 100'000;
  std::uint64_t bytes = std::uint64_t{64} << 30;
  /// Beyond `free_ratio` bytes, at most this many bytes for each byte of the archive: a trace is
  /// compressed already (rr's own brotli), and its binaries shrink to a third.
  std::uint64_t ratio = 200;
  std::uint64_t free_ratio = std::uint64_t{256} << 20;
  /// Of the file system that are left free.
  std::uint64_t keep_free = std::uint64_t{256} << 20;
};

/// True for a file that begins as zstd data does. Nothing else is known about it.
[[nodiscard]] bool looks_like_bundle(const std::filesystem::path& path);

/// Unpacks into `folder`, which must be empty and nobody else's to write. The first entry is
/// bundle.json; then come regular files with names of entry_name.h, each once, as many bytes and
/// files as bundle.json says; folders are made as they are needed. Links, devices, owners, modes
/// and times of the archive have no effect: links and devices are refused. Only tar and zstd are
/// decoded. Errors: bad_input (with what is wrong), io, interrupted; `folder` may hold a part then.
[[nodiscard]] Result<Manifest> unpack(const std::filesystem::path& archive,
                                      const std::filesystem::path& folder,
                                      const UnpackLimits& limits = {});

}  // namespace culprit::bundle
