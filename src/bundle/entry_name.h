// Names of a bundle's entries: a closed shape, so that no archive writes outside its folder.
#pragma once

#include <string_view>

namespace culprit::bundle {

inline constexpr std::string_view kManifestName = "bundle.json";
inline constexpr std::string_view kReportName = "report.json";
inline constexpr std::string_view kTraceFolder = "trace";
inline constexpr std::string_view kDebugFolder = "debug";

/// True for "bundle.json", "report.json", "trace/NAME…" and "debug/NAME…": relative, at most 4096
/// bytes and 64 components of 1 to 255 bytes each, none of them "." or "..", no control characters,
/// no backslash.
[[nodiscard]] bool is_entry_name(std::string_view name);

}  // namespace culprit::bundle
