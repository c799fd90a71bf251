// gdb (or what understands its options) on this terminal, connected to a replay, with culprit's
// commands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/subprocess.h"

namespace culprit::cli {

/// gdbscripts/culprit.py: $CULPRIT_GDB_SCRIPT, else in share/culprit/gdb beside the directory of
/// this program (build tree and installed). Absolute. Errors: not_found.
[[nodiscard]] Result<std::filesystem::path> find_gdb_script();

/// What the debugger is told. Nothing here but `port` and `hop` comes from a report or a trace, and
/// those are numbers; paths reach the scripts in the environment, never in a command.
struct DebuggerOptions {
  std::vector<std::string> program = {"gdb"};  ///< and its first arguments
  std::filesystem::path rr;      ///< for rr's own gdb commands (`when`, `checkpoint`, …)
  std::filesystem::path script;  ///< find_gdb_script()
  std::uint16_t port = 0;
  std::filesystem::path report;
  std::filesystem::path trace;
  std::size_t hop = 0;
  std::filesystem::path debug_directory;  ///< looked into before the system's; may be empty
  bool batch = false;                 ///< no prompt: ends after the commands, stdin is /dev/null
  std::vector<std::string> commands;  ///< the user's own, once it stands at the hop
};

/// How it went.
struct DebuggerOutcome {
  ExitStatus status;
  bool stood_at_hop = false;
};

/// Runs it until it ends. Ctrl-C is the debugger's; SIGTERM and SIGHUP end it, and then the
/// terminal's modes are put back. Errors: not_found (no such debugger), interrupted, io.
[[nodiscard]] Result<DebuggerOutcome> run_debugger(const DebuggerOptions& options);

}  // namespace culprit::cli
