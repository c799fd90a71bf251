// Reading one line of the program's source text for a report.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culprit::binary {

/// Reads source lines. An absent source file is normal: the answer is nothing.
class SourceReader {
 public:
  /// `prefix_map`: (recorded prefix, prefix on this machine), the first that matches wins.
  explicit SourceReader(std::vector<std::pair<std::string, std::string>> prefix_map = {})
      : prefix_map_(std::move(prefix_map)) {}

  /// Line `line` (from 1) of `file` without its line break: valid UTF-8, control characters and
  /// invalid bytes replaced by '?', tabs by a space, surrounding blanks removed, at most 400 bytes.
  /// Only regular files are opened, and at most 64 MiB of one is read.
  [[nodiscard]] std::optional<std::string> line(const std::string& file, std::uint32_t line) const;

 private:
  std::vector<std::pair<std::string, std::string>> prefix_map_;
};

}  // namespace culprit::binary
