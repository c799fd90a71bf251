#include "report/formats/casrep.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "report/json.h"
#include "report/words.h"

namespace culprit::report {
namespace {

std::string stack_line(std::size_t number, const Frame& frame) {
  std::string line = fmt::format("#{:<3}", number);
  if (frame.pc) line += fmt::format("0x{:016x} in ", frame.pc->value);
  const std::string function = function_name(frame.demangled, frame.function);
  line += function.empty() ? "??" : function;
  // gdb shows a parameter list after each function, and CASR's parser looks for it.
  if (!function.ends_with(')')) line += " ()";
  if (!frame.file.empty()) {
    line += " at " + frame.file;
    if (frame.line != 0) line += fmt::format(":{}", frame.line);
    if (frame.line != 0 && frame.column != 0) line += fmt::format(":{}", frame.column);
  } else if (!frame.module.empty()) {
    line += " from " + frame.module;
  }
  return line;
}

// "file:line" of the first frame that has one, else of the first hop's instruction, else
// "module+0x12": CASR's tools leave a report without a crash line out of SARIF.
std::string crash_line(const Report& report) {
  for (const Frame& frame : report.crash.frames) {
    if (!frame.file.empty() && frame.line != 0) {
      return fmt::format("{}:{}", frame.file, frame.line);
    }
  }
  const Writer* writer = report.hops.empty() ? nullptr : &report.hops.front().writer;
  if (writer != nullptr && !writer->file.empty() && writer->line != 0) {
    return fmt::format("{}:{}", writer->file, writer->line);
  }
  for (const Frame& frame : report.crash.frames) {
    if (!frame.module.empty() && frame.module_offset) {
      return fmt::format("{}+{}", frame.module, to_hex(*frame.module_offset));
    }
  }
  if (writer != nullptr && !writer->module.empty() && writer->module_offset) {
    return fmt::format("{}+{}", writer->module, to_hex(*writer->module_offset));
  }
  return "";
}

Json source_of(const Hop& hop) {
  Json lines = Json::array();
  for (const SourceLine& line : hop.writer.excerpt) {
    lines.push_back(fmt::format("{}{:<6} {}", line.line == hop.writer.line ? "--->" : "    ",
                                line.line, line.text));
  }
  return lines;
}

}  // namespace

std::string to_casrep(const Report& report) {
  const Verdict& verdict = report.verdict;
  Json json = Json::object();
  for (const char* key : {"Date", "Uname"}) json[key] = "";
  json["OS"] = "Linux";
  json["OSRelease"] = "";
  json["Architecture"] = "amd64";
  json["ExecutablePath"] = report.program.executable;
  json["ProcEnviron"] = Json::array();
  json["ProcCmdline"] = command_line(report.program);
  json["Stdin"] = "";
  for (const char* key : {"ProcStatus", "ProcMaps", "ProcFiles", "NetworkConnections"}) {
    json[key] = Json::array();
  }
  json["CrashSeverity"] = {{"Type", "UNDEFINED"},
                           {"ShortDescription", to_string(verdict.bug_class)},
                           {"Description", title_of(verdict)},
                           {"Explanation", verdict.explanation}};
  json["Stacktrace"] = Json::array();
  for (const Frame& frame : report.crash.frames) {
    json["Stacktrace"].push_back(stack_line(json["Stacktrace"].size(), frame));
  }
  json["Registers"] = Json::object();
  json["Disassembly"] = Json::array();
  if (!report.hops.empty()) {
    const Hop& crash = report.hops.front();
    if (crash.source && crash.source->kind == SourceKind::register_ && crash.source->value) {
      json["Registers"][crash.source->register_name] = *crash.source->value;
    }
    if (crash.writer.pc && !crash.writer.instruction.empty()) {
      json["Disassembly"].push_back(
          fmt::format("=> {}:\t{}", to_hex(*crash.writer.pc), crash.writer.instruction));
    }
  }
  for (const char* key :
       {"Package", "PackageVersion", "PackageArchitecture", "PackageDescription"}) {
    json[key] = "";
  }
  for (const char* key : {"AsanReport", "UbsanReport", "PythonReport", "GoReport", "JavaReport",
                          "RustReport", "JsReport", "CSharpReport"}) {
    json[key] = Json::array();
  }
  json["CrashLine"] = crash_line(report);
  json["Source"] = report.hops.empty() ? Json::array() : source_of(report.hops.front());
  Json chain = Json::array();
  for (const Hop& hop : report.hops) {
    const std::string at = place_text(report.program.cwd, hop.writer.file, hop.writer.line,
                                      hop.writer.module, hop.writer.module_offset);
    chain.push_back(fmt::format("#{} {}{}{}: {}", hop.index, actor_of(hop), at.empty() ? "" : " ",
                                at, deed_text(hop)));
  }
  json["Culprit"] = {{"cause", report.fingerprint.strict},
                     {"loose", report.fingerprint.loose},
                     {"fix", fix_of(verdict)},
                     {"chain", chain}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace culprit::report
