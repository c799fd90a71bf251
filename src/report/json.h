// The JSON form of a report (docs/report.schema.json, docs/report-schema.md).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "report/model.h"

namespace culprit::report {

using Json = nlohmann::ordered_json;

/// How the message of an error ends where the input is JSON, but nothing that culprit wrote.
inline constexpr std::string_view kNoReport = "this is no culprit report";

/// The report as JSON: keys in the fixed order of the schema, every string made harmless and
/// bounded (sanitize.h, limits.h), lists cut at their limits (a warning is added when hops were
/// cut).
[[nodiscard]] Json to_json(const Report& report);

/// to_json as text: two spaces of indentation, one newline at the end, valid UTF-8.
[[nodiscard]] std::string to_json_text(const Report& report);

/// Reads a report. Unknown members are ignored; a member of the wrong type, an unknown name in a
/// closed list, a number out of range, or a list over its limit is an error of kind bad_input whose
/// message names the member ("hops[2].location.size: …"). Never throws.
[[nodiscard]] Result<Report> from_json(const Json& json);

/// Parses text and reads it: at most 64 MiB, at most 64 levels deep.
[[nodiscard]] Result<Report> from_json_text(std::string_view text);

}  // namespace culprit::report
