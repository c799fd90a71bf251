#include "cli/debugger.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/signals.h"

#ifndef CULPRIT_INSTALL_GDB_RELATIVE
#define CULPRIT_INSTALL_GDB_RELATIVE "../share/culprit/gdb"
#endif

namespace culprit::cli {
namespace fs = std::filesystem;
namespace {

/// The modes of the terminal, if stdin is one; a debugger that is killed leaves its own behind.
class TerminalModes {
 public:
  TerminalModes() {
    termios modes{};
    if (::tcgetattr(STDIN_FILENO, &modes) == 0) modes_ = modes;
  }
  void restore() const {
    if (modes_) ::tcsetattr(STDIN_FILENO, TCSANOW, &*modes_);
  }

 private:
  std::optional<termios> modes_;
};

/// While a debugger reads the terminal, Ctrl-C and Ctrl-\ are for it alone.
class KeysIgnored {
 public:
  KeysIgnored() {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGINT, &ignore, &old_int_);
    ::sigaction(SIGQUIT, &ignore, &old_quit_);
  }
  ~KeysIgnored() {
    ::sigaction(SIGINT, &old_int_, nullptr);
    ::sigaction(SIGQUIT, &old_quit_, nullptr);
  }
  KeysIgnored(const KeysIgnored&) = delete;
  KeysIgnored& operator=(const KeysIgnored&) = delete;

 private:
  struct sigaction old_int_ {};
  struct sigaction old_quit_ {};
};

/// rr's gdb commands, in a file. They belong to this version of rr.
Result<fs::path> write_rr_commands(const fs::path& rr, const fs::path& folder) {
  ProcessOptions options;
  options.argv = {rr.string(), "gdbinit"};
  options.out.limit = std::size_t{1} << 20;
  CULPRIT_ASSIGN(const ProcessResult run, run_process(options, std::chrono::seconds(20)));
  if (!run.status.success() || run.out.truncated()) {
    return Error{ErrorCode::internal, "rr gdbinit left with " + run.status.describe()};
  }
  const fs::path path = folder / "rr.gdb";
  CULPRIT_TRY(write_file_atomically(path, run.out.text));
  return path;
}

ProcessOptions command_line(const DebuggerOptions& options, const fs::path& rr_commands,
                            const fs::path& status) {
  ProcessOptions out;
  out.argv = options.program;
  const auto add = [&out](std::initializer_list<std::string> words) {
    out.argv.insert(out.argv.end(), words);
  };
  add({"-q"});
  if (options.batch) add({"-batch"});
  add({"-l", "10000"});  // seconds that rr may take for an answer
  // A full screen must not stop it on its way; `culprit arrive` puts the setting back.
  add({"-ex", "set $culprit_pagination = $_gdb_setting(\"pagination\")", "-ex",
       "set pagination off"});
  // rr's commands replace two of gdb's, which gdb would ask about.
  add({"-ex", "set confirm off", "-x", rr_commands.string(), "-ex", "set confirm on"});
  add({"-ex", "set sysroot /"});
  add({"-x", options.script.string()});
  // A folder of our own making, no name from a bundle.
  if (!options.debug_directory.empty()) {
    add({"-ex",
         "set debug-file-directory " + options.debug_directory.string() + ":/usr/lib/debug"});
  }
  add({"-ex", "target extended-remote 127.0.0.1:" + std::to_string(options.port)});
  add({"-ex", "culprit arrive"});
  for (const std::string& command : options.commands) add({"-ex", command});

  std::error_code code;
  const fs::path self = fs::read_symlink("/proc/self/exe", code);
  if (!code) out.set_environment.emplace_back("CULPRIT", self.string());
  out.set_environment.emplace_back("CULPRIT_REPORT", options.report.string());
  out.set_environment.emplace_back("CULPRIT_TRACE", options.trace.string());
  out.set_environment.emplace_back("CULPRIT_HOP", std::to_string(options.hop));
  out.set_environment.emplace_back("CULPRIT_STATUS", status.string());
  out.inherit_stdin = !options.batch;
  out.out.kind = OutputMode::Kind::inherit;
  out.err.kind = OutputMode::Kind::inherit;
  out.own_group = false;  // in the terminal's foreground group, or it could not read from it
  return out;
}

}  // namespace

Result<fs::path> find_gdb_script() {
  constexpr char name[] = "culprit.py";
  std::error_code code;
  if (const char* chosen = ::getenv("CULPRIT_GDB_SCRIPT"); chosen != nullptr && *chosen != '\0') {
    const fs::path path = fs::absolute(chosen, code);
    if (!code && fs::is_regular_file(path, code)) return path;
    return Error{ErrorCode::not_found, "CULPRIT_GDB_SCRIPT: no such file: " + std::string(chosen)};
  }
  const fs::path self = fs::read_symlink("/proc/self/exe", code);
  if (!code) {
    const fs::path directory = self.parent_path();
    for (const fs::path& candidate : {directory / "../share/culprit/gdb" / name,
                                      directory / CULPRIT_INSTALL_GDB_RELATIVE / name}) {
      if (fs::is_regular_file(candidate, code)) return fs::canonical(candidate, code);
    }
  }
  return Error{ErrorCode::not_found,
               "culprit.py, the commands for gdb, is neither beside the program nor where it is "
               "installed; set CULPRIT_GDB_SCRIPT to its path"};
}

Result<DebuggerOutcome> run_debugger(const DebuggerOptions& options) {
  CULPRIT_ASSIGN(const TemporaryDirectory folder, TemporaryDirectory::create("culprit-open-"));
  CULPRIT_ASSIGN(const fs::path rr_commands, write_rr_commands(options.rr, folder.path()));
  const fs::path status = folder.path() / "status";
  const TerminalModes terminal;
  DebuggerOutcome out;
  {
    CULPRIT_ASSIGN(Process process, Process::start(command_line(options, rr_commands, status)));
    // A batch debugger reads no terminal: there they mean the end, as everywhere.
    std::optional<KeysIgnored> keys;
    if (!options.batch) keys.emplace();
    const auto ended = process.wait();
    if (!ended.ok()) {
      process.kill();
      terminal.restore();
      return ended.error();
    }
    out.status = **ended;
  }
  terminal.restore();
  out.stood_at_hop = read_file(status, 64).ok();
  return out;
}

}  // namespace culprit::cli
