#include "cli/doctor_findings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace culprit::cli {
namespace {

using recorder::Capability;
using recorder::MachineReport;

constexpr std::uint64_t gib = std::uint64_t{1} << 30;

/// A virtual machine where everything works without counters.
MachineReport machine() {
  MachineReport out;
  out.rr = recorder::RrProgram{"/usr/bin/rr", "5.6.0", 5, 6, 0};
  out.hardware_counters = {false, "this machine shows no hardware counters"};
  out.software_events = {true, "can be opened"};
  out.perf_event_paranoid = 2;
  out.ptrace = {true, "a child can be traced"};
  out.yama_scope = 1;
  out.seccomp = {true, "a filter can be installed"};
  out.cpuid_faulting = {true, "can be trapped"};
  out.kernel = "6.1.0-18-amd64";
  out.gdb = "/usr/bin/gdb";
  out.agent = "/usr/lib/culprit/libculprit-agent.so";
  return out;
}

const TraceSpace plenty{"/home/u/.local/share/culprit", 20 * gib, true, ""};

Finding finding(const std::vector<Finding>& all, const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Finding& f) { return f.name == name; });
  EXPECT_NE(found, all.end()) << name;
  return found == all.end() ? Finding{} : *found;
}

TEST(Doctor, SaysEverythingOnce) {
  const auto all = examine(machine(), plenty);
  std::vector<std::string> names;
  for (const Finding& f : all) {
    names.push_back(f.name);
    EXPECT_NE(f.grade, Grade::problem) << f.name << ": " << f.detail;
    EXPECT_NE(f.detail, "") << f.name;
  }
  EXPECT_EQ(names, (std::vector<std::string>{
                       "rr", "hardware counters", "perf_event_paranoid", "software events",
                       "software ticks", "ptrace", "seccomp", "CPUID faulting", "kernel", "gdb",
                       "trace directory"}));
}

struct Case {
  const char* name;
  std::function<void(MachineReport&, TraceSpace&)> change;
  const char* finding;
  Grade grade;
  const char* fix;  ///< a part of it
};

TEST(Doctor, TellsWhatHelps) {
  const Case cases[] = {
      {"no rr",
       [](MachineReport& m, TraceSpace&) {
         m.rr.reset();
         m.rr_problem = "rr is not installed";
       },
       "rr", Grade::problem, "sudo apt-get install rr"},
      {"another rr was chosen",
       [](MachineReport& m, TraceSpace&) {
         m.rr.reset();
         m.rr_problem = "CULPRIT_RR: no such program: /x";
       },
       "rr", Grade::problem, "unset CULPRIT_RR"},
      {"old rr",
       [](MachineReport& m, TraceSpace&) { m.rr = {"/usr/bin/rr", "5.5.0", 5, 5, 0}; }, "rr",
       Grade::problem, "apt-get install rr"},
      {"counters are not allowed",
       [](MachineReport& m, TraceSpace&) {
         m.hardware_counters.detail = "perf_event_open: Permission denied";
         m.perf_event_paranoid = 2;
       },
       "hardware counters", Grade::note, "sudo sysctl kernel.perf_event_paranoid=1"},
      {"no counters at all", [](MachineReport&, TraceSpace&) {}, "hardware counters", Grade::note,
       ""},
      {"no perf events for users",
       [](MachineReport& m, TraceSpace&) {
         m.perf_event_paranoid = 3;
         m.software_events = {false, "Permission denied"};
       },
       "perf_event_paranoid", Grade::problem, "sudo sysctl kernel.perf_event_paranoid=1"},
      {"no perf events",
       [](MachineReport& m, TraceSpace&) {
         m.perf_event_paranoid.reset();
         m.software_events = {false, "Function not implemented"};
       },
       "perf_event_paranoid", Grade::problem, "CONFIG_PERF_EVENTS"},
      {"perf_event_open is filtered",
       [](MachineReport& m, TraceSpace&) {
         m.software_events = {false, "Operation not permitted"};
       },
       "software events", Grade::problem, "--cap-add=PERFMON"},
      {"software events are not needed",
       [](MachineReport& m, TraceSpace&) {
         m.hardware_counters = {true, "counts"};
         m.software_events = {false, "Operation not permitted"};
       },
       "software events", Grade::note, "PERFMON"},
      {"no agent", [](MachineReport& m, TraceSpace&) { m.agent.reset(); }, "software ticks",
       Grade::problem, "CULPRIT_AGENT_LIB"},
      {"no agent, but counters",
       [](MachineReport& m, TraceSpace&) {
         m.agent.reset();
         m.hardware_counters = {true, "counts"};
       },
       "software ticks", Grade::note, "CULPRIT_AGENT_LIB"},
      {"ptrace is restricted",
       [](MachineReport& m, TraceSpace&) {
         m.ptrace = {false, "Operation not permitted"};
         m.yama_scope = 2;
       },
       "ptrace", Grade::problem, "sudo sysctl kernel.yama.ptrace_scope=1"},
      {"ptrace in a container",
       [](MachineReport& m, TraceSpace&) { m.ptrace = {false, "Operation not permitted"}; },
       "ptrace", Grade::problem, "--cap-add=SYS_PTRACE"},
      {"no seccomp", [](MachineReport& m, TraceSpace&) { m.seccomp = {false, "Invalid argument"}; },
       "seccomp", Grade::problem, "seccomp=unconfined"},
      {"no CPUID faulting",
       [](MachineReport& m, TraceSpace&) { m.cpuid_faulting = {false, "No such device"}; },
       "CPUID faulting", Grade::note, ""},
      {"new kernel, old rr, no agent",
       [](MachineReport& m, TraceSpace&) {
         m.split_vvar = true;
         m.agent.reset();
       },
       "kernel", Grade::problem, "CULPRIT_AGENT_LIB"},
      {"new kernel, old rr", [](MachineReport& m, TraceSpace&) { m.split_vvar = true; }, "kernel",
       Grade::good, ""},
      {"no gdb", [](MachineReport& m, TraceSpace&) { m.gdb.reset(); }, "gdb", Grade::note,
       "sudo apt-get install gdb"},
      {"little space", [](MachineReport&, TraceSpace& s) { s.free_bytes = gib / 2; },
       "trace directory", Grade::note, "_RR_TRACE_DIR"},
      {"no space", [](MachineReport&, TraceSpace& s) { s.free_bytes = 4096; }, "trace directory",
       Grade::problem, "_RR_TRACE_DIR"},
      {"read-only", [](MachineReport&, TraceSpace& s) { s.writable = false; }, "trace directory",
       Grade::problem, "_RR_TRACE_DIR"},
      {"nowhere",
       [](MachineReport&, TraceSpace& s) {
         s.free_bytes.reset();
         s.error = "/x: cannot examine";
       },
       "trace directory", Grade::problem, "_RR_TRACE_DIR"},
  };
  for (const Case& c : cases) {
    MachineReport m = machine();
    TraceSpace space = plenty;
    c.change(m, space);
    const auto all = examine(m, space);
    const Finding found = finding(all, c.finding);
    EXPECT_EQ(grade_name(found.grade), std::string(grade_name(c.grade))) << c.name;
    if (*c.fix == '\0') {
      EXPECT_EQ(found.fix, "") << c.name;
    } else {
      EXPECT_NE(found.fix.find(c.fix), std::string::npos) << c.name << ": " << found.fix;
    }
    for (const Finding& f : all) {
      if (f.grade == Grade::problem) {
        EXPECT_NE(f.fix, "") << c.name << ": " << f.name;
      }
    }
  }
}

TEST(Doctor, NamesTheReasonOfAFailedTest) {
  const Error failure{ErrorCode::cannot_record, "cannot record: ptrace is not allowed here"};
  MachineReport m = machine();
  const Finding alone = judge_test_recording(failure, examine(m, plenty));
  EXPECT_EQ(alone.grade, Grade::problem);
  EXPECT_EQ(alone.detail, failure.message);
  EXPECT_NE(alone.fix.find("culprit record"), std::string::npos);
  m.ptrace = {false, "Operation not permitted"};
  m.yama_scope = 3;
  EXPECT_NE(judge_test_recording(failure, examine(m, plenty)).fix.find("ptrace_scope"),
            std::string::npos);
  Result<recorder::RecordOutcome> outcome = recorder::RecordOutcome{};
  outcome->status.code = 1;
  outcome->engine = recorder::Engine::hardware;
  const Finding good = judge_test_recording(outcome, {});
  EXPECT_EQ(good.grade, Grade::good);
  EXPECT_NE(good.detail.find("hardware-counters"), std::string::npos);
  outcome->status.code = 0;
  EXPECT_EQ(judge_test_recording(outcome, {}).grade, Grade::problem);
}

}  // namespace
}  // namespace culprit::cli
