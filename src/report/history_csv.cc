#include <fmt/format.h>

#include <array>
#include <string_view>

#include "report/formats/escape.h"
#include "report/history.h"
#include "report/sanitize.h"
#include "report/words.h"

namespace culprit::report {
namespace {

constexpr std::array<std::string_view, 18> kColumns{
    "write",  "kind",          "event",       "process",  "thread",   "address",
    "size",   "value_before",  "value_after", "function", "file",     "line",
    "module", "module_offset", "instruction", "syscall",  "location", "summary"};

}  // namespace

std::string to_csv(const History& history) {
  std::string out;
  for (const std::string_view column : kColumns) {
    if (!out.empty()) out += ',';
    out += column;
  }
  out += "\r\n";
  for (const Hop& write : history.writes) {
    const Location place = write.location.value_or(Location{});
    const auto number = [](std::int64_t value) { return value > 0 ? std::to_string(value) : ""; };
    const std::array<std::string, kColumns.size()> fields{
        std::to_string(write.index),
        std::string(to_string(write.kind)),
        number(write.position.event.value),
        number(write.position.process.value),
        number(write.position.thread.value),
        to_hex(place.address),
        number(static_cast<std::int64_t>(place.size)),
        write.value_before ? to_hex(*write.value_before) : "",
        write.value_after ? to_hex(*write.value_after) : "",
        function_name(write.writer.demangled, write.writer.function),
        write.writer.file,
        number(write.writer.line),
        write.writer.module,
        write.writer.module_offset ? to_hex(*write.writer.module_offset) : "",
        write.writer.instruction,
        write.syscall ? syscall_text(*write.syscall) : "",
        place.owner ? slot_name(place) : "",
        write.summary};
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (i > 0) out += ',';
      out += csv_field(shown(fields[i]));
    }
    out += "\r\n";
  }
  return out;
}

}  // namespace culprit::report
