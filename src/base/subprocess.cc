#include "base/subprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <thread>

#include "base/file_descriptor.h"
#include "base/signals.h"

extern char** environ;

namespace culprit {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

Error io_error(std::string_view what, int number) {
  return Error{ErrorCode::io, std::string(what) + ": " + ::strerror(number)};
}

/// The first and the last half of a stream.
class BoundedBuffer {
 public:
  explicit BoundedBuffer(std::size_t limit) : head_limit_(limit - limit / 2), tail_limit_(limit / 2) {}

  void append(std::string_view bytes) {
    total_ += bytes.size();
    const std::size_t to_head = std::min(bytes.size(), head_limit_ - head_.size());
    head_.append(bytes.substr(0, to_head));
    bytes.remove_prefix(to_head);
    tail_.append(bytes);
    // Trimming only at twice the limit keeps the cost of a byte constant.
    if (tail_.size() > 2 * tail_limit_) {
      tail_.erase(0, tail_.size() - tail_limit_);
    }
  }

  CapturedOutput snapshot() const {
    CapturedOutput out;
    out.total = total_;
    std::string_view tail = tail_;
    if (tail.size() > tail_limit_) tail.remove_prefix(tail.size() - tail_limit_);
    out.text = head_;
    if (total_ > head_.size() + tail.size()) out.gap = head_.size();
    out.text += tail;
    return out;
  }

 private:
  std::size_t head_limit_;
  std::size_t tail_limit_;
  std::uint64_t total_ = 0;
  std::string head_;
  std::string tail_;
};

struct Stream {
  FileDescriptor pipe;  ///< read end; empty if the stream is not captured
  int copy_to = -1;     ///< own descriptor to copy to, -1: none
  BoundedBuffer buffer{0};
};

bool is_captured(const OutputMode& mode) {
  return mode.kind == OutputMode::Kind::capture || mode.kind == OutputMode::Kind::tee;
}

/// Everything, or as much as the descriptor takes; a reader that went away loses only its copy.
void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (n < 0 && errno == EAGAIN) {
      pollfd p{fd, POLLOUT, 0};
      ::poll(&p, 1, 100);
    } else if (n < 0 && errno != EINTR) {
      return;
    }
  }
}

/// argv or envp as execve wants it; valid as long as `strings`.
std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (std::string& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

std::string_view variable_name(std::string_view entry) { return entry.substr(0, entry.find('=')); }

std::vector<std::string> child_environment(const ProcessOptions& options) {
  std::vector<std::string> out;
  for (char** e = environ; e != nullptr && *e != nullptr; ++e) {
    const std::string_view entry = *e;
    const std::string_view name = variable_name(entry);
    const bool removed =
        std::any_of(options.unset_environment.begin(), options.unset_environment.end(),
                    [&](const std::string& u) { return u == name; }) ||
        std::any_of(options.set_environment.begin(), options.set_environment.end(),
                    [&](const auto& s) { return s.first == name; });
    if (!removed) out.emplace_back(entry);
  }
  for (const auto& [name, value] : options.set_environment) out.push_back(name + "=" + value);
  return out;
}

/// What the child does between fork and exec: async-signal-safe calls only, since other threads of
/// the parent may hold any lock.
struct ChildPlan {
  const char* path = nullptr;
  char* const* argv = nullptr;
  char* const* envp = nullptr;
  const char* directory = nullptr;
  int in = -1;   ///< -1: inherit
  int out = -1;  ///< -1: inherit
  int err = -1;  ///< -1: inherit
  int report = -1;
  const std::vector<int>* keep = nullptr;
  bool own_group = false;
  bool die_with_parent = false;
  pid_t parent = 0;
};

[[noreturn]] void child_fail(int report) {
  const int number = errno;
  [[maybe_unused]] const ssize_t n = ::write(report, &number, sizeof number);
  ::_exit(127);
}

[[noreturn]] void run_child(const ChildPlan& plan) {
  if (plan.own_group) ::setpgid(0, 0);
  if (plan.die_with_parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != plan.parent) ::_exit(127);  // it died before the line above
  }
  const int targets[3] = {plan.in, plan.out, plan.err};
  for (int i = 0; i < 3; ++i) {
    if (targets[i] >= 0 && ::dup2(targets[i], i) < 0) child_fail(plan.report);
  }
  for (const int fd : *plan.keep) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags < 0 || ::fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC) < 0) child_fail(plan.report);
  }
  if (plan.directory != nullptr && ::chdir(plan.directory) != 0) child_fail(plan.report);
  ::execve(plan.path, plan.argv, plan.envp);
  child_fail(plan.report);
}

struct Pipe {
  FileDescriptor read;
  FileDescriptor write;
};

/// A pipe whose ends are never 0, 1 or 2: run_child() overwrites those, and this process may have
/// been started with some of them closed.
Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return io_error("cannot create a pipe", errno);
  Pipe out{FileDescriptor(fds[0]), FileDescriptor(fds[1])};
  for (FileDescriptor* end : {&out.read, &out.write}) {
    if (end->get() > 2) continue;
    const int high = ::fcntl(end->get(), F_DUPFD_CLOEXEC, 3);
    if (high < 0) return io_error("cannot duplicate a descriptor", errno);
    *end = FileDescriptor(high);
  }
  return out;
}

}  // namespace

struct Process::State {
  pid_t pid = -1;
  FileDescriptor pidfd;
  bool own_group = false;
  std::optional<ExitStatus> status;

  std::array<Stream, 2> streams;
  std::mutex buffers;
  FileDescriptor stop;  ///< eventfd: tells the reader that the child has ended
  std::thread reader;

  ~State() {
    if (pid > 0 && !status) {
      send_group(SIGKILL);
      reap();
    }
    finish_reading();
  }

  void send(int number) const {
    if (pid > 0 && !status) ::kill(pid, number);
  }
  void send_group(int number) const {
    if (pid > 0 && !status) ::kill(own_group ? -pid : pid, number);
  }

  void reap() {
    int raw = 0;
    pid_t got = 0;
    do {
      got = ::waitpid(pid, &raw, 0);
    } while (got < 0 && errno == EINTR);
    ExitStatus s;
    if (got == pid && WIFSIGNALED(raw)) {
      s.signal = WTERMSIG(raw);
    } else {
      s.code = got == pid ? WEXITSTATUS(raw) : 127;
    }
    status = s;
  }

  void finish_reading() {
    if (!reader.joinable()) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(stop.get(), &one, sizeof one);
    reader.join();
  }

  /// Reads one piece; false at the end of the stream or if nothing is there.
  bool read_some(Stream& s, std::vector<char>& piece) {
    const ssize_t n = ::read(s.pipe.get(), piece.data(), piece.size());
    if (n < 0 && errno == EINTR) return true;
    if (n < 0 && errno == EAGAIN) return false;
    if (n <= 0) {
      s.pipe.reset();
      return false;
    }
    const std::string_view bytes(piece.data(), static_cast<std::size_t>(n));
    if (s.copy_to >= 0) write_all(s.copy_to, bytes);
    const std::lock_guard lock(buffers);
    s.buffer.append(bytes);
    return true;
  }

  void read_loop() {
    // A closed terminal must not kill this process from here; the copy just fails.
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);

    std::vector<char> piece(64 * 1024);
    for (;;) {
      std::array<pollfd, 3> polled{pollfd{streams[0].pipe.get(), POLLIN, 0},
                                   pollfd{streams[1].pipe.get(), POLLIN, 0},
                                   pollfd{stop.get(), POLLIN, 0}};
      if (!streams[0].pipe && !streams[1].pipe) return;
      if (::poll(polled.data(), polled.size(), -1) < 0) continue;
      for (std::size_t i = 0; i < 2; ++i) {
        if (polled[i].revents != 0 && streams[i].pipe) read_some(streams[i], piece);
      }
      if (polled[2].revents != 0) {
        // The child has ended: what it wrote is in the pipes by now. Something that outlives it may
        // keep them open and even full, so take at most what a pipe can hold.
        for (Stream& s : streams) {
          for (int i = 0; i < 64 && s.pipe && read_some(s, piece); ++i) {
          }
          s.pipe.reset();
        }
        return;
      }
    }
  }
};

Process::Process(std::unique_ptr<State> state) : state_(std::move(state)) {}
Process::Process(Process&&) noexcept = default;
Process& Process::operator=(Process&&) noexcept = default;
Process::~Process() = default;

Result<Process> Process::start(const ProcessOptions& options) {
  if (options.argv.empty()) return Error{ErrorCode::internal, "no program to run"};
  const std::optional<std::string> path = find_program(options.argv[0]);
  if (!path) return Error{ErrorCode::not_found, options.argv[0] + ": no such program"};

  std::vector<std::string> argv = options.argv;
  std::vector<std::string> environment = child_environment(options);
  std::vector<char*> argv_pointers = pointers(argv);
  std::vector<char*> environment_pointers = pointers(environment);

  auto state = std::make_unique<State>();
  state->own_group = options.own_group;

  ChildPlan plan;
  plan.path = path->c_str();
  plan.argv = argv_pointers.data();
  plan.envp = environment_pointers.data();
  if (!options.working_directory.empty()) plan.directory = options.working_directory.c_str();
  plan.keep = &options.keep_fds;
  plan.own_group = options.own_group;
  plan.die_with_parent = options.die_with_parent;
  plan.parent = ::getpid();

  FileDescriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (null && null.get() <= 2) null = FileDescriptor(::fcntl(null.get(), F_DUPFD_CLOEXEC, 3));
  if (!null) return io_error("cannot open /dev/null", errno);
  if (!options.inherit_stdin) plan.in = null.get();
  if (options.stdin_fd >= 0) plan.in = options.stdin_fd;

  std::array<FileDescriptor, 2> child_ends;
  const std::array<const OutputMode*, 2> modes{&options.out, &options.err};
  const std::array<int*, 2> plan_ends{&plan.out, &plan.err};
  for (std::size_t i = 0; i < 2; ++i) {
    const OutputMode& mode = *modes[i];
    if (mode.kind == OutputMode::Kind::discard) *plan_ends[i] = null.get();
    if (mode.kind == OutputMode::Kind::descriptor) *plan_ends[i] = mode.fd;
    if (!is_captured(mode)) continue;
    CULPRIT_ASSIGN(Pipe pipe, make_pipe());
    *plan_ends[i] = pipe.write.get();
    child_ends[i] = std::move(pipe.write);
    Stream& stream = state->streams[i];
    ::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK);
    stream.pipe = std::move(pipe.read);
    stream.buffer = BoundedBuffer(mode.limit);
    if (mode.kind == OutputMode::Kind::tee) {
      stream.copy_to = mode.fd >= 0 ? mode.fd : static_cast<int>(i) + 1;
    }
  }
  CULPRIT_ASSIGN(Pipe report, make_pipe());
  plan.report = report.write.get();
  state->stop = FileDescriptor(::eventfd(0, EFD_CLOEXEC));
  if (!state->stop) return io_error("cannot create an eventfd", errno);

  const pid_t pid = ::fork();
  if (pid < 0) return io_error("cannot start a process", errno);
  if (pid == 0) run_child(plan);
  // Both sides set the group, so that it exists whoever runs first.
  if (options.own_group) ::setpgid(pid, pid);
  state->pid = pid;
  report.write.reset();
  for (FileDescriptor& end : child_ends) end.reset();

  int exec_error = 0;
  ssize_t n = 0;
  do {
    n = ::read(report.read.get(), &exec_error, sizeof exec_error);
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(sizeof exec_error)) {
    state->reap();
    return Error{ErrorCode::io, "cannot run " + *path + ": " + ::strerror(exec_error)};
  }
  state->pidfd = FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!state->pidfd) return io_error("pidfd_open", errno);
  if (state->streams[0].pipe || state->streams[1].pipe) {
    State* raw = state.get();
    // Signals of this process belong to its main thread.
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &old);
    state->reader = std::thread([raw] { raw->read_loop(); });
    ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  }
  return Process(std::move(state));
}

pid_t Process::pid() const { return state_->pid; }
int Process::exit_fd() const { return state_->pidfd.get(); }

Result<std::optional<ExitStatus>> Process::wait(std::optional<milliseconds> timeout,
                                                bool interruptible) {
  State& s = *state_;
  if (s.status) return std::optional<ExitStatus>(s.status);
  const auto start = Clock::now();
  for (;;) {
    int left = -1;
    if (timeout) {
      const auto passed = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
      left = static_cast<int>(
          std::clamp<std::int64_t>((*timeout - passed).count(), 0, 1'000'000'000));
    }
    std::array<pollfd, 2> polled{pollfd{s.pidfd.get(), POLLIN, 0},
                                 pollfd{interruptible ? interrupt_fd() : -1, POLLIN, 0}};
    const int n = ::poll(polled.data(), polled.size(), left);
    if (n < 0 && errno != EINTR) return io_error("poll", errno);
    if (n > 0 && polled[0].revents != 0) {
      s.reap();
      s.finish_reading();
      return std::optional<ExitStatus>(s.status);
    }
    if (n > 0 && polled[1].revents != 0) {
      CULPRIT_TRY(check_interrupt());
      continue;
    }
    if (n == 0) return std::optional<ExitStatus>();
  }
}

void Process::signal(int number) { state_->send(number); }
void Process::signal_group(int number) { state_->send_group(number); }

void Process::kill() {
  if (state_->status) return;
  state_->send_group(SIGKILL);
  state_->reap();
  state_->finish_reading();
}

CapturedOutput Process::captured_out() const {
  const std::lock_guard lock(state_->buffers);
  return state_->streams[0].buffer.snapshot();
}
CapturedOutput Process::captured_err() const {
  const std::lock_guard lock(state_->buffers);
  return state_->streams[1].buffer.snapshot();
}

Result<ProcessResult> run_process(const ProcessOptions& options,
                                  std::optional<milliseconds> deadline) {
  const auto start = Clock::now();
  CULPRIT_ASSIGN(Process process, Process::start(options));
  ProcessResult result;
  CULPRIT_ASSIGN(std::optional<ExitStatus> status, process.wait(deadline));
  if (!status) {
    result.timed_out = true;
    process.kill();
    CULPRIT_ASSIGN(status, process.wait());
  }
  if (status) result.status = *status;
  result.out = process.captured_out();
  result.err = process.captured_err();
  result.elapsed = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
  return result;
}

std::optional<std::string> find_program(std::string_view name) {
  // A folder passes for executable, too.
  const auto executable = [](const std::string& path) {
    struct stat about {};
    return ::stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode) &&
           ::access(path.c_str(), X_OK) == 0;
  };
  if (name.empty()) return std::nullopt;
  if (name.find('/') != std::string_view::npos) {
    std::string path(name);
    if (executable(path)) return path;
    return std::nullopt;
  }
  const char* variable = ::getenv("PATH");
  std::string_view rest = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
  for (;;) {
    const std::size_t colon = rest.find(':');
    const std::string_view directory = rest.substr(0, colon);
    // An empty entry is the current directory (POSIX, XBD 8.3).
    std::string path = directory.empty() ? std::string("./") : std::string(directory) + "/";
    path += name;
    if (executable(path)) return path;
    if (colon == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(colon + 1);
  }
}

std::string signal_name(int signal) {
  const char* abbreviation = ::sigabbrev_np(signal);
  if (abbreviation == nullptr) return "signal " + std::to_string(signal);
  return std::string("SIG") + abbreviation;
}

std::string ExitStatus::describe() const {
  if (signal == 0) return "exit code " + std::to_string(code);
  const std::string name = signal_name(signal);
  if (name.starts_with("SIG")) return "signal " + std::to_string(signal) + " (" + name + ")";
  return name;
}

}  // namespace culprit
