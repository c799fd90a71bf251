// The history of an address: every write to it, and all regions that it ever belonged to. Plain
// data, as model.h's; its three forms are pure functions of it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/model.h"

namespace culprit::report {

/// The version of the JSON form (docs/history.schema.json); see kSchemaVersion.
inline constexpr std::string_view kHistoryVersion = "1.0";

/// Which writes were asked for.
struct HistoryFilters {
  std::optional<std::uint64_t> value;  ///< only writes after which the slot holds it
  std::optional<std::int32_t> thread;  ///< only writes of this thread
  std::optional<std::int64_t> first;   ///< only from this event on
  std::optional<std::int64_t> last;    ///< only up to this event, included
  bool operator==(const HistoryFilters&) const = default;
};

/// All the writes of one instruction, or of one system call's name.
struct WriteGroup {
  HopKind kind = HopKind::store;
  Writer writer;        ///< for the kernel's: the code that made the call
  std::string syscall;  ///< its name; empty for instructions
  std::uint64_t count = 0;
  EventNumber first;  ///< rr's event of the first and the last one
  EventNumber last;
  bool operator==(const WriteGroup&) const = default;
};

/// Everything.
struct History {
  std::string schema_version{kHistoryVersion};
  Tool tool;
  Program program;
  Trace trace;
  Engine engine;
  std::string expression;  ///< as it was asked for; empty: an address was
  Location location;       ///< the address at the moment that the expression was evaluated at
  Position evaluated_at;   ///< that moment
  HistoryFilters filters;
  std::vector<RegionPeriod> regions;  ///< oldest first; a block lies inside the mapping's period
  std::uint64_t regions_left_out = 0;
  std::uint64_t writes_seen = 0;  ///< to these bytes, whatever the filters say
  std::uint64_t writes_matching = 0;
  /// The newest of the matching ones, oldest first; `index` counts the matching writes from 0. A
  /// write without a backtrace was not stopped at.
  std::vector<Hop> writes;
  std::uint64_t writes_left_out = 0;  ///< older matching ones, counted in `writers` only
  std::vector<WriteGroup> writers;    ///< of all matching writes, most frequent first
  std::uint64_t writers_left_out = 0;
  Stats stats;
  std::vector<std::string> warnings;
  bool operator==(const History&) const = default;
};

/// The JSON form (docs/history.schema.json): strings made harmless and bounded as in a report.
[[nodiscard]] nlohmann::ordered_json to_json(const History& history);
/// to_json as text, with a newline at the end.
[[nodiscard]] std::string to_json_text(const History& history);

/// One row a write, RFC 4180, with a header; spreadsheets take no field for a formula.
[[nodiscard]] std::string to_csv(const History& history);

/// For people: the regions, then the writes, then who made them; with the backtrace of each, or the
/// nearest callers. Valid UTF-8 without control characters, not wrapped.
[[nodiscard]] std::string to_text(const History& history, bool backtraces);

}  // namespace culprit::report
