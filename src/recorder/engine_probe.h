// What this machine offers to rr. Everything is tried, not guessed from names or versions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"

namespace culprit::recorder {

/// How a recording is made.
enum class Engine : std::uint8_t {
  hardware,  ///< rr as it is, on the CPU's branch counter
  software,  ///< rr with the agent's software ticks
  exact,     ///< rr with ticks that the agent counts by stepping each instruction: tiny programs only
};
/// "hardware-counters", "software-ticks" or "exact-ticks".
std::string engine_name(Engine engine);

/// An installed rr.
struct RrProgram {
  std::string path;
  std::string version_text;  ///< "5.6.0"
  int major = 0;
  int minor = 0;
  int patch = 0;
  /// 5.6.0 is the oldest that this tool has been tested with.
  bool supported() const { return major > 5 || (major == 5 && minor >= 6); }
  /// Recordings with software ticks, replays and passes have been tested with this version.
  bool tested() const { return major == 5 && (minor == 6 || minor == 10); }
  /// rr.soft, a fork that counts branches by patching them (`rr record -W`).
  bool counts_in_software = false;
};

/// One capability: there or not, and what the system said.
struct Capability {
  bool usable = false;
  std::string detail;  ///< one line; the error if it is not usable
};

/// All that a recording depends on.
struct MachineReport {
  std::optional<RrProgram> rr;
  std::string rr_problem;               ///< why there is none
  Capability hardware_counters;         ///< the branch counter opens and counts
  Capability software_events;           ///< perf_event_open of a software event
  std::optional<int> perf_event_paranoid;
  Capability ptrace;                    ///< a child could be traced
  std::optional<int> yama_scope;        ///< /proc/sys/kernel/yama/ptrace_scope
  Capability seccomp;                   ///< a filter could be installed in a child
  Capability cpuid_faulting;            ///< only traces for other CPUs need it
  std::string kernel;                   ///< `uname -r`
  bool split_vvar = false;              ///< Linux 6.13's [vvar_vclock], which rr 5.6 mishandles
  std::optional<std::string> gdb;       ///< path
  std::optional<std::filesystem::path> agent;  ///< the library of software ticks

  /// The engine that a recording would use; nothing if it cannot be made.
  std::optional<Engine> engine() const;
};

/// Finds rr: $CULPRIT_RR if set, else in PATH, and asks its version. Errors: cannot_record (not
/// there, or it does not answer).
[[nodiscard]] Result<RrProgram> find_rr();

/// "rr version 5.6.0" and the like. Nothing if there is no version in the text.
std::optional<RrProgram> parse_rr_version(const std::string& text);

/// Does this text of `rr record --help` offer rr.soft's option -W?
bool offers_software_counters(const std::string& help);

/// Tries the CPU's counter of retired branches, as any user of rr with hardware counters needs it.
Capability probe_hardware_counters();

/// Does this kernel list [vvar_vclock] by itself (Linux 6.13 and later)?
bool has_split_vvar();

/// Everything. Takes some 10 ms; leaves no process behind.
[[nodiscard]] MachineReport probe_machine();

/// The directory for traces when the user names none: $_RR_TRACE_DIR, $XDG_DATA_HOME/culprit or
/// ~/.local/share/culprit.
std::filesystem::path default_trace_root();

}  // namespace culprit::recorder
