// All formats of a report by name: what `culprit report --format` offers.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "report/model.h"

namespace culprit::report {

enum class Format {
  text,
  json,
  markdown,
  html,
  sarif,
  junit,
  github,
  github_summary,
  gitlab,
  casrep,
  perfetto,
  csv,
};

/// What is known of a format before any report.
struct FormatInfo {
  Format id = Format::text;
  std::string_view name;         ///< as on the command line
  std::string_view file_name;    ///< in a directory of artefacts; no two formats share one
  std::string_view description;  ///< one line, no full stop
};

/// All of them, in the order of the help.
[[nodiscard]] std::span<const FormatInfo> formats();
[[nodiscard]] std::optional<Format> format_named(std::string_view name);
[[nodiscard]] const FormatInfo& info(Format format);

/// What the user decides.
struct FormatOptions {
  /// The repository's directory; empty: the directory that the program was started in.
  std::string source_root;
  std::vector<std::string> strip_prefixes;  ///< see SourcePaths
  bool colour = false;                      ///< text only
  unsigned columns = 100;                   ///< text only
  bool backtraces = false;                  ///< text only
};

/// The report in `format`: a pure function of its arguments, whole, ending in a line feed, valid
/// UTF-8. The report is made presentable first, so that any report will do.
[[nodiscard]] std::string render(const Report& report, Format format,
                                 const FormatOptions& options = {});

}  // namespace culprit::report
