#include "cli/triage_options.h"

#include <utility>

#include "base/file.h"
#include "cli/slot_option.h"

namespace culprit::cli {

void TriageFlags::add_to(CLI::App& command, const std::string& timeout_name) {
  command.add_option("--json", json, "Write the report as JSON to this file; - is stdout")
      ->type_name("FILE|-");
  command.add_option("--max-hops", max_hops, "Follow the value for at most this many hops")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  timeout_option = command
                       .add_option(timeout_name, timeout_s,
                                   "Seconds for the whole triage (default: 120, or as long as 60 replays "
                                   "of a long trace)")
                       ->check(CLI::Range(0.1, 86400.0))
                       ->type_name("S");
  command.add_option("--pid", pid, "The recorded process that failed, if several did")
      ->check(CLI::Range(1, 4194304));
  command.add_option("--pointer", pointer, "The bad value, in hexadecimal")->type_name("HEX");
  command
      .add_option("--address", address,
                  "The slot that holds it: an address in hexadecimal, or an expression of the "
                  "program's source for the frames of the crash (page->b)")
      ->type_name("HEX|EXPR");
  command
      .add_option("--at", at,
                  "Begin there in place of the failure: exit, write:REGEX (the write to stdout or "
                  "stderr that matches), fn:SYMBOL[#K] (the K-th entry)")
      ->type_name("POINT");
  command
      .add_option("--size", slot_size,
                  "Bytes of the slot of --address (default: those of the expression's type, or 8)")
      ->check(CLI::Range(1, 8));
  command.add_option("--report", report_file, "Read the crash text from this file")
      ->type_name("FILE");
  command
      .add_option("--source-map", source_maps,
                  "Source files recorded under OLD are read under NEW (may be repeated)")
      ->type_name("OLD=NEW");
  command.add_option("--rsp-log", rsp_log,
                     "Reverse engine: write all packets from and to rr's gdb server to this file")
      ->type_name("FILE");
  command.add_flag("--backtraces", backtraces, "Print the backtrace of each hop");
}

void TriageFlags::add_engine_to(CLI::App& command) {
  command.add_option("--engine", engine, "How the trace is searched: auto, forward or reverse")
      ->type_name("ENGINE")
      ->check(CLI::IsMember({"auto", "forward", "reverse"}))
      ->capture_default_str();
}

Result<TriageRequest> TriageFlags::request() const {
  constexpr std::size_t kReportLimit = std::size_t{64} << 20;
  TriageRequest out;
  out.max_hops = max_hops;
  out.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(timeout_s * 1000));
  out.timeout_grows = timeout_option != nullptr && timeout_option->count() == 0;
  if (pid != 0) out.pid = pid;
  out.slot_size = slot_size;
  if (engine == "forward") out.engine = SearchEngine::forward;
  if (engine == "reverse") out.engine = SearchEngine::reverse;
  out.rsp_log = rsp_log;
  if (!pointer.empty()) {
    CULPRIT_ASSIGN(out.overrides.pointer, crash::parse_hex("--pointer", pointer));
  }
  if (!address.empty()) {
    CULPRIT_ASSIGN(NamedSlot slot, parse_slot("--address", address));
    out.overrides.address = slot.address;
    out.overrides.expression = std::move(slot.expression);
  }
  if (!at.empty()) {
    CULPRIT_ASSIGN(out.point, provenance::parse_crash_point(at));
  }
  if (!report_file.empty()) {
    auto text = read_file(report_file, kReportLimit);
    if (!text.ok()) return Error{ErrorCode::usage, "--report: " + text.error().message};
    out.overrides.report_text = *std::move(text);
  }
  CULPRIT_ASSIGN(out.source_prefixes, parse_source_maps(source_maps));
  return out;
}

ReportOutput TriageFlags::output() const {
  ReportOutput out;
  out.json = json;
  out.backtraces = backtraces;
  return out;
}

}  // namespace culprit::cli
