#include "crash/crash_json.h"

#include <fmt/format.h>

#include <string>

namespace culprit::crash {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Frame& frame) {
  Json json;
  json["function"] = frame.function;
  if (!frame.arguments.empty()) {
    std::string words;
    for (const Argument& argument : frame.arguments) {
      words += fmt::format("{}{:#x}{}", words.empty() ? "" : " ", argument.value,
                           argument.uncertain ? "?" : "");
    }
    json["arguments"] = words;
  }
  if (frame.arguments_cut) json["arguments_cut"] = true;
  if (frame.inlined) json["inlined"] = true;
  if (!frame.file.empty()) {
    json["at"] = fmt::format("{}:{}", frame.file, frame.line);
    if (frame.column != 0) json["column"] = frame.column;
  }
  if (!frame.module.empty()) {
    json["module"] = frame.module_offset
                         ? fmt::format("{}+{:#x}", frame.module, *frame.module_offset)
                         : frame.module;
  }
  std::string registers;
  if (frame.pc_offset) registers += fmt::format("+{:#x}", *frame.pc_offset);
  if (frame.fp) registers += fmt::format(" fp={:#x}", frame.fp->value);
  if (frame.sp) registers += fmt::format(" sp={:#x}", frame.sp->value);
  if (frame.pc) registers += fmt::format(" pc={:#x}", frame.pc->value);
  if (!registers.empty()) json["registers"] = registers;
  return json;
}

Json to_json(const Stack& stack) {
  Json json;
  json["kind"] = to_string(stack.kind);
  if (stack.role != StackRole::crash) json["role"] = to_string(stack.role);
  if (!stack.thread.empty()) json["thread"] = stack.thread;
  if (stack.access) {
    std::string words(to_string(stack.access->kind));
    if (stack.access->atomic) words = "atomic " + words;
    if (stack.access->size) words += fmt::format(" of {}", *stack.access->size);
    if (stack.access->address) words += fmt::format(" at {:#x}", stack.access->address->value);
    json["access"] = words;
  }
  if (stack.goroutine) json["goroutine"] = *stack.goroutine;
  if (!stack.state.empty()) json["state"] = stack.state;
  if (stack.machine) json["machine"] = *stack.machine;
  json["frames"] = Json::array();
  for (const Frame& frame : stack.frames) json["frames"].push_back(to_json(frame));
  if (stack.created_by) json["created_by"] = to_json(*stack.created_by);
  if (stack.cut) json["cut"] = true;
  return json;
}

Json to_json(const Suspect& suspect) {
  Json json;
  json["role"] = to_string(suspect.role);
  if (suspect.value) json["value"] = to_hex(*suspect.value);
  if (suspect.slot) json["slot"] = to_hex(*suspect.slot);
  if (suspect.object) json["object"] = to_hex(*suspect.object);
  if (suspect.offset) json["offset"] = *suspect.offset;
  if (suspect.span) {
    json["span"] = fmt::format("{:#x}+{:#x}", suspect.span->start.value, suspect.span->size);
  }
  json["certainty"] = suspect.certainty == Certainty::stated ? "stated" : "inferred";
  json["description"] = suspect.description;
  return json;
}

Json to_json(const CrashReport& report) {
  Json json;
  json["kind"] = to_string(report.kind);
  if (report.hint != CrashHint::none) json["hint"] = traits(report.hint).name;
  json["front_end"] = report.front_end;
  json["runtime"] = report.runtime;
  if (report.signal) json["signal"] = signal_name(*report.signal);
  if (report.signal_code) json["signal_code"] = *report.signal_code;
  if (report.fault_address) json["fault_address"] = to_hex(*report.fault_address);
  if (report.pc) json["pc"] = to_hex(*report.pc);
  if (report.exit_status) json["exit_status"] = *report.exit_status;
  json["suspects"] = Json::array();
  for (const Suspect& suspect : report.suspects) json["suspects"].push_back(to_json(suspect));
  json["message"] = report.message;
  if (report.goroutine) json["goroutine"] = *report.goroutine;
  if (const Frame* frame = report.reporting_frame()) {
    json["reporting"] = {{"stack", report.reporting->stack},
                         {"frame", report.reporting->frame},
                         {"function", frame->function}};
  }
  json["stacks"] = Json::array();
  for (const Stack& stack : report.stacks) json["stacks"].push_back(to_json(stack));
  if (!report.registers.empty()) {
    for (const RegisterValue& r : report.registers) json["registers"][r.name] = to_hex(r.value);
  }
  json["offset"] = report.offset;
  if (report.truncated) json["truncated"] = true;
  return json;
}

}  // namespace

nlohmann::ordered_json to_golden_json(const std::vector<CrashReport>& reports) {
  Json json = Json::array();
  for (const CrashReport& report : reports) json.push_back(to_json(report));
  // Through text and back: what is compared is what the file can hold.
  return Json::parse(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace culprit::crash
