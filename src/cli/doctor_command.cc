#include "cli/doctor_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "base/file.h"
#include "cli/doctor_findings.h"
#include "cli/exit_codes.h"
#include "recorder/engine_probe.h"
#include "recorder/record.h"

namespace culprit::cli {
namespace {

using recorder::Engine;
using recorder::MachineReport;

TraceSpace measure_space() {
  TraceSpace out;
  const std::filesystem::path root = recorder::default_trace_root();
  out.directory = root.string();
  if (const auto space = free_space(root); space.ok()) {
    out.free_bytes = *space;
  } else {
    out.error = space.error().message;
  }
  std::error_code code;
  std::filesystem::path existing = root;
  while (!std::filesystem::exists(existing, code) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  out.writable = std::filesystem::is_directory(existing, code) &&
                 ::access(existing.c_str(), W_OK | X_OK) == 0;
  return out;
}

/// Records and replays the smallest program that fails.
Result<recorder::RecordOutcome> try_it() {
  CULPRIT_ASSIGN(const TemporaryDirectory directory, TemporaryDirectory::create("culprit-doctor-"));
  recorder::RecordOptions options;
  options.command = {"false"};
  options.output = directory.path() / "trace";
  options.timeout = std::chrono::seconds(20);
  options.verify_deadline = std::chrono::seconds(20);
  options.out_fd = -1;
  options.err_fd = -1;
  Progress quiet(Progress::Verbosity::quiet);
  return recorder::record(options, quiet);
}

void print_text(const std::vector<Finding>& findings, const std::optional<Engine>& engine,
                bool works) {
  const bool colour = ::isatty(STDOUT_FILENO) != 0;
  for (const Finding& f : findings) {
    const char* paint = f.grade == Grade::good ? "\033[32m" : f.grade == Grade::note ? "\033[33m"
                                                                                      : "\033[31m";
    fmt::print("{}{:<8}{} {:<20} {}\n", colour ? paint : "", grade_name(f.grade),
               colour ? "\033[0m" : "", f.name, f.detail);
    if (!f.fix.empty()) fmt::print("{:<8} {:<20} try: {}\n", "", "", f.fix);
  }
  if (works && engine) {
    fmt::print("\nRecording works here, with {}.\n", recorder::engine_name(*engine));
  } else {
    fmt::print("\nRecording does not work here; see the problems above.\n");
  }
}

void print_json(const std::vector<Finding>& findings, const MachineReport& machine,
                const TraceSpace& space, const std::optional<Engine>& engine, bool works) {
  nlohmann::ordered_json json;
  json["schema_version"] = 1;
  json["recording_works"] = works;
  json["engine"] = engine ? nlohmann::ordered_json(recorder::engine_name(*engine)) : nullptr;
  json["rr_version"] = machine.rr ? nlohmann::ordered_json(machine.rr->version_text) : nullptr;
  json["kernel"] = machine.kernel;
  json["split_vvar"] = machine.split_vvar;
  json["perf_event_paranoid"] = machine.perf_event_paranoid
                                    ? nlohmann::ordered_json(*machine.perf_event_paranoid)
                                    : nullptr;
  json["trace_directory"] = space.directory;
  json["checks"] = nlohmann::ordered_json::array();
  for (const Finding& f : findings) {
    nlohmann::ordered_json check{
        {"name", f.name}, {"status", grade_name(f.grade)}, {"detail", f.detail}};
    if (!f.fix.empty()) check["fix"] = f.fix;
    json["checks"].push_back(std::move(check));
  }
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

class DoctorCommand final : public Command {
 public:
  CLI::App* add_to(CLI::App& app) override {
    CLI::App* command =
        app.add_subcommand("doctor", "Find out whether this machine can record, and what helps");
    command->add_flag("--json", json_, "Print JSON");
    command->footer("Example: culprit doctor --json | jq .engine\nExit code 0 if a test recording "
                    "and its replay worked, and traces have a place; else 5.");
    return command;
  }

  int run(const CommonOptions&) override {
    const MachineReport machine = recorder::probe_machine();
    const TraceSpace space = measure_space();
    std::vector<Finding> findings = examine(machine, space);
    const auto outcome = try_it();
    findings.push_back(judge_test_recording(outcome, findings));
    // The test recording lies elsewhere, so it says nothing about the place for traces.
    const auto good = [&](const char* name) {
      return std::any_of(findings.begin(), findings.end(), [&](const Finding& f) {
        return f.name == name && f.grade != Grade::problem;
      });
    };
    const bool works = good(kTestRecording) && good(kTraceDirectory);
    // What was really used: rr may refuse counters that open and count.
    const std::optional<Engine> engine = outcome.ok() ? outcome->engine : machine.engine();
    if (json_) {
      print_json(findings, machine, space, engine, works);
    } else {
      print_text(findings, engine, works);
    }
    if (std::fflush(stdout) != 0) return exit_internal;
    return works ? exit_ok : exit_cannot_record;
  }

 private:
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_doctor_command() { return std::make_unique<DoctorCommand>(); }

}  // namespace culprit::cli
