#include "cli/doctor_findings.h"

#include <fmt/format.h>

#include <algorithm>

#include "recorder/engine_choice.h"

namespace culprit::cli {
namespace {

using recorder::MachineReport;

constexpr std::uint64_t gib = std::uint64_t{1} << 30;

Finding rr_finding(const MachineReport& machine) {
  if (!machine.rr) {
    const bool chosen = machine.rr_problem.starts_with("CULPRIT_RR");
    return {"rr", Grade::problem, machine.rr_problem,
            chosen ? "unset CULPRIT_RR" : "sudo apt-get install rr"};
  }
  const std::string detail = machine.rr->version_text + " (" + machine.rr->path + ")";
  if (!machine.rr->supported()) {
    return {"rr", Grade::problem, detail + " is too old: 5.6.0 or later is needed",
            "sudo apt-get install rr  # or a newer release from https://rr-project.org"};
  }
  const std::string soft =
      machine.rr->counts_in_software ? "; it has rr.soft's software counters (-W)" : "";
  if (!machine.rr->tested()) {
    return {"rr", Grade::note,
            detail + soft + " has not been tested with this tool (5.6 and 5.10 have been)", ""};
  }
  return {"rr", Grade::good, detail + soft, ""};
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

/// Levels: Documentation/admin-guide/sysctl/kernel.rst; 3 is Debian's and Ubuntu's own.
Finding paranoid_finding(const MachineReport& machine) {
  Finding out{"perf_event_paranoid", Grade::good, "", ""};
  const bool some_counter = machine.hardware_counters.usable || machine.software_events.usable;
  if (!machine.perf_event_paranoid) {
    out.detail = "not there: the kernel has no perf events, or /proc/sys is hidden";
    if (some_counter) return out;
    out.grade = Grade::problem;
    out.fix = "docker run --cap-add=PERFMON --security-opt seccomp=unconfined ...  # if this is a "
              "container; else a kernel with CONFIG_PERF_EVENTS";
    return out;
  }
  const int level = *machine.perf_event_paranoid;
  out.detail = std::to_string(level);
  if (some_counter) return out;
  out.detail += level > 2 ? ": no perf events for users" : ": not the reason";
  if (level <= 2) return out;
  out.grade = Grade::problem;
  out.fix = "sudo sysctl kernel.perf_event_paranoid=1";
  return out;
}

Finding software_events_finding(const MachineReport& machine) {
  Finding out{"software events", Grade::good, machine.software_events.detail, ""};
  if (!machine.software_events.usable) {
    out.grade = machine.hardware_counters.usable ? Grade::note : Grade::problem;
    out.fix = machine.perf_event_paranoid.value_or(0) > 2
                  ? "sudo sysctl kernel.perf_event_paranoid=1"
                  : "docker run --cap-add=PERFMON --security-opt seccomp=unconfined ...  # if this "
                    "is a container";
  }
  return out;
}

Finding agent_finding(const MachineReport& machine) {
  if (machine.agent) return {"software ticks", Grade::good, machine.agent->string(), ""};
  const bool needed = !machine.hardware_counters.usable ||
                      (machine.rr && recorder::needs_maps_merged(*machine.rr, machine.split_vvar));
  return {"software ticks", needed ? Grade::problem : Grade::note,
          "libculprit-agent.so not found; triage needs it, too",
          "export CULPRIT_AGENT_LIB=/path/to/libculprit-agent.so"};
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

Finding cpuid_finding(const MachineReport& machine) {
  if (machine.cpuid_faulting.usable) {
    return {"CPUID faulting", Grade::good, machine.cpuid_faulting.detail, ""};
  }
  return {"CPUID faulting", Grade::note,
          "not there: traces recorded on other CPUs may not replay here", ""};
}

Finding kernel_finding(const MachineReport& machine) {
  Finding out{"kernel", Grade::good, machine.kernel, ""};
  if (!machine.split_vvar) return out;
  out.detail += ", lists [vvar_vclock] by itself";
  if (!machine.rr || !recorder::needs_maps_merged(*machine.rr, true)) return out;
  out.detail += ", which rr " + machine.rr->version_text + " mishandles";
  if (machine.agent) {
    out.detail += " (the software ticks library corrects that)";
  } else {
    out.grade = Grade::problem;
    out.fix = "export CULPRIT_AGENT_LIB=/path/to/libculprit-agent.so";
  }
  return out;
}

Finding gdb_finding(const MachineReport& machine) {
  if (machine.gdb) return {"gdb", Grade::good, *machine.gdb, ""};
  return {"gdb", Grade::note, "not found; only needed to visit a chain by hand",
          "sudo apt-get install gdb"};
}

Finding space_finding(const TraceSpace& space) {
  Finding out{kTraceDirectory, Grade::good, space.directory, ""};
  if (!space.free_bytes) {
    out.grade = Grade::problem;
    out.detail = space.error;
  } else if (!space.writable) {
    out.grade = Grade::problem;
    out.detail += " cannot be written";
  } else {
    out.detail += fmt::format(" ({:.1f} GiB free)",
                              static_cast<double>(*space.free_bytes) / static_cast<double>(gib));
    if (*space.free_bytes < gib) {
      out.grade = *space.free_bytes < gib / 64 ? Grade::problem : Grade::note;
    }
  }
  if (out.grade != Grade::good) out.fix = "export _RR_TRACE_DIR=/a/directory/with/space";
  return out;
}

}  // namespace

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

std::vector<Finding> examine(const MachineReport& machine, const TraceSpace& space) {
  return {rr_finding(machine),       counters_finding(machine),
          paranoid_finding(machine), software_events_finding(machine),
          agent_finding(machine),    ptrace_finding(machine),
          seccomp_finding(machine),  cpuid_finding(machine),
          kernel_finding(machine),   gdb_finding(machine),
          space_finding(space)};
}

Finding judge_test_recording(const Result<recorder::RecordOutcome>& outcome,
                             const std::vector<Finding>& before) {
  Finding out{kTestRecording, Grade::problem, "", ""};
  if (!outcome.ok()) {
    out.detail = outcome.error().message;
  } else if (outcome->timed_out || outcome->status.code != 1) {
    out.detail = "`false` ended with " + outcome->status.describe() + " under rr";
  } else {
    out.grade = Grade::good;
    out.detail = fmt::format("recorded in {} ms and replayed in {} ms with {}",
                             outcome->elapsed.count(), outcome->replay_elapsed.count(),
                             recorder::engine_name(outcome->engine));
    return out;
  }
  const auto reason = std::find_if(before.begin(), before.end(), [](const Finding& f) {
    return f.grade == Grade::problem;
  });
  out.fix = reason != before.end() ? reason->fix
                                   : "culprit record -- false  # shows what rr itself says";
  return out;
}

}  // namespace culprit::cli
