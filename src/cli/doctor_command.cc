#include "cli/doctor_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/exit_codes.h"
#include "recorder/engine_probe.h"
#include "recorder/record.h"

namespace culprit::cli {
namespace {

using recorder::Capability;
using recorder::Engine;
using recorder::MachineReport;

enum class Grade { good, note, problem };

/// One line of the examination.
struct Finding {
  std::string name;
  Grade grade = Grade::good;
  std::string detail;
  std::string fix;  ///< the command that helps; empty if nothing needs to be done
};

const char* grade_name(Grade grade) {
  switch (grade) {
    case Grade::good:
      return "ok";
    case Grade::note:
      return "note";
    case Grade::problem:
      return "problem";
  }
  return "problem";
}

Finding rr_finding(const MachineReport& machine) {
  if (!machine.rr) {
    const auto found = recorder::find_rr();
    return {"rr", Grade::problem, found.ok() ? "not found" : found.error().message,
            "sudo apt-get install rr"};
  }
  const std::string detail = machine.rr->version_text + " (" + machine.rr->path + ")";
  if (!machine.rr->supported()) {
    return {"rr", Grade::problem, detail + " is too old: 5.6.0 or later is needed",
            "sudo apt-get install rr  # or a newer release from https://rr-project.org"};
  }
  return {"rr", Grade::good, detail, ""};
}

Finding counters_finding(const MachineReport& machine) {
  if (machine.hardware_counters.usable) {
    return {"hardware counters", Grade::good, machine.hardware_counters.detail, ""};
  }
  Finding out{"hardware counters", Grade::note, machine.hardware_counters.detail, ""};
  if (machine.perf_event_paranoid.value_or(0) > 1 &&
      machine.hardware_counters.detail.starts_with("perf_event_open")) {
    out.fix = "sudo sysctl kernel.perf_event_paranoid=1";
  }
  return out;
}

Finding software_events_finding(const MachineReport& machine) {
  Finding out{"software events", Grade::good, machine.software_events.detail, ""};
  if (!machine.software_events.usable) {
    out.grade = machine.hardware_counters.usable ? Grade::note : Grade::problem;
    out.fix = machine.perf_event_paranoid.value_or(0) > 2
                  ? "sudo sysctl kernel.perf_event_paranoid=2"
                  : "docker run --cap-add=PERFMON --security-opt seccomp=unconfined ...  # if this "
                    "is a container";
  }
  if (machine.perf_event_paranoid) {
    out.detail += fmt::format(" (perf_event_paranoid {})", *machine.perf_event_paranoid);
  }
  return out;
}

Finding ptrace_finding(const MachineReport& machine) {
  Finding out{"ptrace", Grade::good, machine.ptrace.detail, ""};
  if (!machine.ptrace.usable) {
    out.grade = Grade::problem;
    out.fix = machine.yama_scope.value_or(0) >= 2
                  ? "sudo sysctl kernel.yama.ptrace_scope=1  # 3 can only be left by a reboot"
                  : "docker run --cap-add=SYS_PTRACE ...  # if this is a container";
  }
  if (machine.yama_scope) out.detail += fmt::format(" (yama scope {})", *machine.yama_scope);
  return out;
}

Finding seccomp_finding(const MachineReport& machine) {
  if (machine.seccomp.usable) return {"seccomp", Grade::good, machine.seccomp.detail, ""};
  return {"seccomp", Grade::problem, machine.seccomp.detail,
          "docker run --security-opt seccomp=unconfined ...  # if this is a container; else a kernel "
          "with CONFIG_SECCOMP_FILTER"};
}

Finding kernel_finding(const MachineReport& machine) {
  Finding out{"kernel", Grade::good, machine.kernel, ""};
  if (!machine.split_vvar) return out;
  out.detail += ", lists [vvar_vclock] by itself";
  const bool old_rr = machine.rr && machine.rr->major == 5 && machine.rr->minor < 9;
  if (machine.hardware_counters.usable && old_rr) {
    out.grade = Grade::note;
    out.detail += ", which rr " + machine.rr->version_text + " mishandles";
    out.fix = "use --engine software, or a newer rr from https://rr-project.org";
  } else {
    out.detail += " (the software ticks library corrects that for rr)";
  }
  return out;
}

Finding space_finding() {
  constexpr std::uint64_t gib = std::uint64_t{1} << 30;
  const std::filesystem::path root = recorder::default_trace_root();
  const auto space = free_space(root);
  if (!space.ok()) {
    return {"trace directory", Grade::problem, space.error().message,
            "export _RR_TRACE_DIR=/a/directory/with/space"};
  }
  Finding out{"trace directory", Grade::good,
              fmt::format("{} ({:.1f} GiB free)", root.string(),
                          static_cast<double>(*space) / static_cast<double>(gib)),
              ""};
  if (*space < gib) {
    out.grade = *space < gib / 64 ? Grade::problem : Grade::note;
    out.fix = "export _RR_TRACE_DIR=/a/directory/with/space";
  }
  return out;
}

std::vector<Finding> examine(const MachineReport& machine) {
  std::vector<Finding> out;
  out.push_back(rr_finding(machine));
  out.push_back(counters_finding(machine));
  out.push_back(software_events_finding(machine));
  if (machine.agent) {
    out.push_back({"software ticks", Grade::good, machine.agent->string(), ""});
  } else {
    out.push_back({"software ticks",
                   machine.hardware_counters.usable ? Grade::note : Grade::problem,
                   "libculprit-agent.so not found", "export CULPRIT_AGENT_LIB=/path/to/it"});
  }
  out.push_back(ptrace_finding(machine));
  out.push_back(seccomp_finding(machine));
  out.push_back({"CPUID faulting", machine.cpuid_faulting.usable ? Grade::good : Grade::note,
                 machine.cpuid_faulting.usable
                     ? machine.cpuid_faulting.detail
                     : "not there: traces recorded on other CPUs may not replay here",
                 ""});
  out.push_back(kernel_finding(machine));
  if (machine.gdb) {
    out.push_back({"gdb", Grade::good, *machine.gdb, ""});
  } else {
    out.push_back({"gdb", Grade::note, "not found; only needed to visit a chain by hand",
                   "sudo apt-get install gdb"});
  }
  out.push_back(space_finding());
  return out;
}

/// Records and replays the smallest program that fails.
Finding try_it() {
  auto directory = TemporaryDirectory::create("culprit-doctor-");
  if (!directory.ok()) return {"test recording", Grade::problem, directory.error().message, ""};
  recorder::RecordOptions options;
  options.command = {"false"};
  options.output = directory->path() / "trace";
  options.timeout = std::chrono::seconds(20);
  options.verify_deadline = std::chrono::seconds(20);
  options.out_fd = -1;
  options.err_fd = -1;
  Progress quiet(Progress::Verbosity::quiet);
  const auto outcome = recorder::record(options, quiet);
  if (!outcome.ok()) return {"test recording", Grade::problem, outcome.error().message, ""};
  if (outcome->timed_out || outcome->status.code != 1) {
    return {"test recording", Grade::problem,
            "`false` ended with " + outcome->status.describe() + " under rr", ""};
  }
  return {"test recording", Grade::good,
          fmt::format("recorded in {} ms and replayed in {} ms with {}", outcome->elapsed.count(),
                      outcome->replay_elapsed.count(), recorder::engine_name(outcome->engine)),
          ""};
}

void print_text(const std::vector<Finding>& findings, const std::optional<Engine>& engine,
                bool works) {
  const bool colour = ::isatty(STDOUT_FILENO) != 0;
  for (const Finding& f : findings) {
    const char* paint = f.grade == Grade::good ? "\033[32m" : f.grade == Grade::note ? "\033[33m"
                                                                                      : "\033[31m";
    fmt::print("{}{:<8}{} {:<18} {}\n", colour ? paint : "", grade_name(f.grade),
               colour ? "\033[0m" : "", f.name, f.detail);
    if (!f.fix.empty()) fmt::print("{:<8} {:<18} try: {}\n", "", "", f.fix);
  }
  if (works && engine) {
    fmt::print("\nRecording works here, with {}.\n", recorder::engine_name(*engine));
  } else {
    fmt::print("\nRecording does not work here; see the problems above.\n");
  }
}

void print_json(const std::vector<Finding>& findings, const MachineReport& machine, bool works) {
  nlohmann::ordered_json json;
  json["schema_version"] = 1;
  json["recording_works"] = works;
  const auto engine = machine.engine();
  json["engine"] = engine ? nlohmann::ordered_json(recorder::engine_name(*engine)) : nullptr;
  json["rr_version"] = machine.rr ? nlohmann::ordered_json(machine.rr->version_text) : nullptr;
  json["kernel"] = machine.kernel;
  json["split_vvar"] = machine.split_vvar;
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
                    "and its replay worked, else 5.");
    return command;
  }

  int run(const CommonOptions&) override {
    const MachineReport machine = recorder::probe_machine();
    std::vector<Finding> findings = examine(machine);
    findings.push_back(try_it());
    const bool works = findings.back().grade == Grade::good;
    if (json_) {
      print_json(findings, machine, works);
    } else {
      print_text(findings, machine.engine(), works);
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
