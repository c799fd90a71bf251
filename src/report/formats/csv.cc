#include "report/formats/csv.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "report/formats/escape.h"
#include "report/words.h"

namespace culprit::report {
namespace {

constexpr std::array<std::string_view, 29> kColumns{
    "hop",         "parent",         "main_line",   "kind",           "confidence",   "event",
    "process",     "thread",         "thread_name", "function",       "file",         "line",
    "module",      "module_offset",  "instruction", "address",        "size",         "region",
    "variable",    "member",         "type",        "owner_function", "value_before", "value_after",
    "source_kind", "source_address", "source",      "summary",        "note"};

class Row {
 public:
  void text(std::string_view value) {
    if (!line_.empty()) line_ += ',';
    line_ += csv_field(value);
  }
  void number(std::uint64_t value, bool known) { text(known ? fmt::format("{}", value) : ""); }
  template <typename T>
  void hex(const std::optional<T>& value) {
    text(value ? to_hex(*value) : "");
  }
  std::string finish() { return line_ + "\r\n"; }

 private:
  std::string line_;
};

std::uint64_t positive(std::int64_t value) {
  return value > 0 ? static_cast<std::uint64_t>(value) : 0;
}

std::string row_of(const Hop& hop) {
  Row row;
  row.number(hop.index, true);
  row.number(hop.parent.value_or(0), hop.parent.has_value());
  row.text(hop.main_line ? "true" : "false");
  row.text(to_string(hop.kind));
  row.text(to_string(hop.confidence));
  row.number(positive(hop.position.event.value), static_cast<bool>(hop.position.event));
  row.number(positive(hop.position.process.value), hop.position.process.value > 0);
  row.number(positive(hop.position.thread.value), hop.position.thread.value > 0);
  row.text(hop.position.thread_name);
  row.text(hop.writer.demangled.empty() ? hop.writer.function : hop.writer.demangled);
  row.text(hop.writer.file);
  row.number(hop.writer.line, hop.writer.line != 0);
  row.text(hop.writer.module);
  row.hex(hop.writer.module_offset);
  row.text(hop.writer.instruction);
  const Location location = hop.location.value_or(Location{});
  const Owner owner = location.owner.value_or(Owner{});
  row.text(hop.location ? to_hex(location.address) : "");
  row.number(location.size, hop.location.has_value());
  row.text(hop.location ? to_string(location.region) : "");
  row.text(owner.variable);
  row.text(owner.member);
  row.text(owner.type);
  row.text(owner.function);
  row.hex(hop.value_before);
  row.hex(hop.value_after);
  const Source source = hop.source.value_or(Source{});
  row.text(hop.source ? to_string(source.kind) : "");
  row.hex(source.address);
  row.text(source.description);
  row.text(deed_text(hop));
  row.text(hop.note);
  return row.finish();
}

}  // namespace

std::string to_csv(const Report& report) {
  std::string out;
  for (const std::string_view column : kColumns) {
    if (!out.empty()) out += ',';
    out += column;
  }
  out += "\r\n";
  for (const Hop& hop : report.hops) out += row_of(hop);
  return out;
}

}  // namespace culprit::report
