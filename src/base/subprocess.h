// Running other programs: rr, gdb, the program under test.
//
// Invariants: whatever is started here is reaped here; only processes (or process groups) started
// here are ever signalled; no descriptor of this process leaks into a child except those asked for.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace culprit {

/// How a child ended.
struct ExitStatus {
  int code = 0;    ///< exit code; meaningful if signal == 0
  int signal = 0;  ///< the signal that killed it, 0 if it exited
  bool success() const { return signal == 0 && code == 0; }
  /// "exit code 3" or "signal 6 (SIGABRT)".
  std::string describe() const;
};

/// "SIGSEGV" for 11; "signal 99" for one without a name.
std::string signal_name(int signal);

/// Where one output stream of a child goes.
struct OutputMode {
  enum class Kind : std::uint8_t {
    inherit,      ///< this process' own stream
    discard,      ///< /dev/null
    capture,      ///< kept in memory (bounded), read continuously so that the child never blocks
    tee,          ///< as capture, and copied as it arrives: to `fd`, or if -1 to our own stream
    descriptor,   ///< written to `fd` (borrowed until start() returns), e.g. an open file
  };
  Kind kind = Kind::capture;
  /// Capture and tee: at most this many bytes are kept, the first and the last half of them.
  std::size_t limit = std::size_t{1} << 20;
  int fd = -1;
};

/// What a child wrote.
struct CapturedOutput {
  std::string text;         ///< all of it, or its beginning and its end
  std::uint64_t total = 0;  ///< bytes written by the child
  /// Offset in `text` where bytes were left out, if any were.
  std::optional<std::size_t> gap;
  bool truncated() const { return gap.has_value(); }
};

/// What to run, and how.
struct ProcessOptions {
  /// Program and arguments. A program without '/' is looked up in PATH.
  std::vector<std::string> argv;
  /// The child's environment is this process' one, minus `unset`, then with `set`.
  std::vector<std::string> unset_environment;
  std::vector<std::pair<std::string, std::string>> set_environment;
  std::string working_directory;  ///< empty: unchanged
  bool inherit_stdin = false;     ///< false: /dev/null
  int stdin_fd = -1;              ///< if not -1: the child's stdin (borrowed until start() returns)
  OutputMode out;
  OutputMode err;
  /// Descriptors of this process that the child gets under the same numbers (their close-on-exec
  /// flag does not matter). All others above 2 that are close-on-exec are closed by exec.
  std::vector<int> keep_fds;
  /// A process group of its own, so that signal_group() reaches its children too.
  bool own_group = true;
  /// The kernel kills the child when the *thread* that called start() ends.
  bool die_with_parent = true;
};

/// A running child. Move only; the destructor kills the group (or the process) and reaps it.
/// Output is read by a thread of its own, so the child never blocks on a full pipe.
class Process {
 public:
  /// Starts it. Errors: not_found (no such program), io (fork, exec or pipe failed).
  [[nodiscard]] static Result<Process> start(const ProcessOptions& options);

  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;
  ~Process();

  pid_t pid() const;
  /// Readable (POLLIN) once the child has ended; owned by this object. For poll() next to other fds.
  int exit_fd() const;
  /// Waits until the child ends or the time is over (nullopt: no limit). Reaps it. Returns nothing
  /// if it still runs. May be called again after it ended. A pending Ctrl-C (see signals.h) ends the
  /// wait with ErrorCode::interrupted if `interruptible`.
  [[nodiscard]] Result<std::optional<ExitStatus>> wait(
      std::optional<std::chrono::milliseconds> timeout = std::nullopt, bool interruptible = true);
  /// Sends a signal to the child if it has not been reaped; to its group if it has its own.
  void signal(int number);
  void signal_group(int number);
  /// SIGKILL to the group (or the child) and reap.
  void kill();

  /// What it wrote so far (capture or tee). Complete once wait() returned a status.
  CapturedOutput captured_out() const;
  CapturedOutput captured_err() const;

 private:
  struct State;
  explicit Process(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A finished run.
struct ProcessResult {
  ExitStatus status;
  CapturedOutput out;
  CapturedOutput err;
  bool timed_out = false;  ///< it was killed at the deadline
  std::chrono::milliseconds elapsed{0};
};

/// start() and wait; at the deadline the group is killed and `timed_out` set. Errors as start(), and
/// interrupted.
[[nodiscard]] Result<ProcessResult> run_process(const ProcessOptions& options,
                                                std::optional<std::chrono::milliseconds> deadline);

/// The absolute path of a program in PATH (or `name` itself if it has a '/'), if it is executable.
[[nodiscard]] std::optional<std::string> find_program(std::string_view name);

}  // namespace culprit
