// A bundle unpacked for one command.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "bundle/manifest.h"

namespace culprit::cli {

/// Where its parts are. The folder goes with this object, unless the user named it.
struct OpenedBundle {
  std::optional<TemporaryDirectory> temporary;
  std::filesystem::path folder;
  bundle::Manifest manifest;

  [[nodiscard]] std::filesystem::path trace() const;
  [[nodiscard]] std::filesystem::path report() const;
  /// For the search of debug files; may be missing.
  [[nodiscard]] std::filesystem::path debug() const;
};

/// Unpacks `archive` into `keep_in` (new or empty), or, if that is empty, into a temporary folder.
/// Errors: those of bundle::unpack; usage (keep_in is not empty).
[[nodiscard]] Result<OpenedBundle> open_bundle(const std::filesystem::path& archive,
                                               const std::string& keep_in);

}  // namespace culprit::cli
