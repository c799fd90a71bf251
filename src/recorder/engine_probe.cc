#include "recorder/engine_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "agent/launch.h"
#include "base/file.h"
#include "base/file_descriptor.h"
#include "base/subprocess.h"

namespace culprit::recorder {
namespace {

std::optional<int> read_number(const char* path) {
  const Result<std::string> text = read_file(path, 64);
  if (!text.ok()) return std::nullopt;
  int value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  (void)end;
  if (error != std::errc()) return std::nullopt;
  return value;
}

FileDescriptor open_event(std::uint32_t type, std::uint64_t config, bool pinned = false) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = type;
  attributes.config = config;
  attributes.exclude_kernel = 1;
  attributes.exclude_guest = 1;
  attributes.disabled = 1;
  attributes.pinned = pinned;  // as rr's: it counts all the time, or reading it fails
  return FileDescriptor(static_cast<int>(
      ::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC)));
}

/// Runs `test` in a child (async-signal-safe calls only): 0 or the errno that it returns.
template <typename Test>
int in_child(Test test) {
  const pid_t pid = ::fork();
  if (pid < 0) return errno;
  if (pid == 0) ::_exit(test() & 0xff);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

Capability from_errno(int number, std::string good) {
  if (number == 0) return {true, std::move(good)};
  return {false, ::strerror(number)};
}

/// As rr does it: PTRACE_SEIZE of a child of one's own.
Capability probe_ptrace() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return {false, ::strerror(errno)};
  FileDescriptor read_end(fds[0]);
  FileDescriptor write_end(fds[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return {false, ::strerror(errno)};
  if (pid == 0) {
    ::close(fds[1]);
    char byte = 0;
    [[maybe_unused]] const ssize_t n = ::read(fds[0], &byte, 1);  // until the parent is done
    ::_exit(0);
  }
  int failure = 0;
  if (::ptrace(PTRACE_SEIZE, pid, nullptr, reinterpret_cast<void*>(PTRACE_O_TRACESYSGOOD)) != 0) {
    failure = errno;
  } else {
    ::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr);
    int status = 0;
    if (::waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) failure = ECHILD;
  }
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  return from_errno(failure, "a child can be traced");
}

Capability probe_seccomp() {
  const int failure = in_child([] {
    sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog program{1, allow};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
    return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 ? errno : 0;
  });
  return from_errno(failure, "a filter can be installed");
}

Capability probe_cpuid_faulting() {
  constexpr int arch_set_cpuid = 0x1012;  // asm/prctl.h
  const int failure = in_child(
      [] { return ::syscall(SYS_arch_prctl, arch_set_cpuid, 0) != 0 ? errno : 0; });
  return from_errno(failure, "the CPUID instruction can be trapped");
}

}  // namespace

std::string engine_name(Engine engine) {
  switch (engine) {
    case Engine::hardware:
      return "hardware-counters";
    case Engine::exact:
      return "exact-ticks";
    case Engine::software:
      break;
  }
  return "software-ticks";
}

std::optional<Engine> MachineReport::engine() const {
  if (!rr || !rr->supported() || !ptrace.usable || !seccomp.usable) return std::nullopt;
  if (hardware_counters.usable) return Engine::hardware;
  if (software_events.usable && agent) return Engine::software;
  return std::nullopt;
}

std::optional<RrProgram> parse_rr_version(const std::string& text) {
  // "rr version 5.6.0"; builds from git have "5.6.0-12-gabcdef".
  constexpr std::string_view prefix = "rr version ";
  const std::size_t at = text.find(prefix);
  if (at == std::string::npos) return std::nullopt;
  RrProgram out;
  const char* begin = text.data() + at + prefix.size();
  const char* const end = text.data() + text.size();
  const char* p = begin;
  int* const parts[] = {&out.major, &out.minor, &out.patch};
  for (int i = 0; i < 3; ++i) {
    const auto [next, error] = std::from_chars(p, end, *parts[i]);
    if (error != std::errc()) {
      if (i == 0) return std::nullopt;
      break;
    }
    p = next;
    if (p == end || *p != '.') break;
    ++p;
  }
  const char* line_end = begin;
  while (line_end != end && *line_end != '\n' && *line_end != ' ') ++line_end;
  out.version_text.assign(begin, line_end);
  return out;
}

bool offers_software_counters(const std::string& help) {
  // An option's line begins with its letter: "  -W, --software-counters ..." in rr.soft; rr itself has no
  // such letter).
  for (std::size_t at = 0; at < help.size();) {
    std::size_t end = help.find('\n', at);
    if (end == std::string::npos) end = help.size();
    std::string_view line(help.data() + at, end - at);
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    if (line.starts_with("-W") && (line.size() == 2 || line[2] == ',' || line[2] == ' ')) {
      return true;
    }
    at = end + 1;
  }
  return false;
}

Result<RrProgram> find_rr() {
  const char* chosen = ::getenv("CULPRIT_RR");
  const bool by_variable = chosen != nullptr && *chosen != '\0';
  const std::optional<std::string> path = find_program(by_variable ? chosen : "rr");
  if (!path) {
    return Error{ErrorCode::cannot_record,
                 by_variable ? "CULPRIT_RR: no such program: " + std::string(chosen)
                             : "rr is not installed; on Debian and Ubuntu: sudo apt-get install rr"};
  }
  ProcessOptions options;
  options.argv = {*path, "--version"};
  CULPRIT_ASSIGN(const ProcessResult run, run_process(options, std::chrono::seconds(10)));
  std::optional<RrProgram> program = parse_rr_version(run.out.text + run.err.text);
  if (!program) {
    return Error{ErrorCode::cannot_record, *path + " does not tell its version; is it rr?"};
  }
  program->path = *path;
  options.argv = {*path, "record", "--help"};
  // rr prints its help to stderr and exits with a failure in some versions: only the text counts.
  if (const auto help = run_process(options, std::chrono::seconds(10)); help.ok()) {
    program->counts_in_software = offers_software_counters(help->out.text + help->err.text);
  }
  return *program;
}

Capability probe_hardware_counters() {
  const FileDescriptor fd = open_event(PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_INSTRUCTIONS, true);
  if (!fd) {
    const int number = errno;
    if (number == ENOENT || number == EOPNOTSUPP || number == ENODEV) {
      return {false, "this machine shows no hardware counters (as most virtual machines)"};
    }
    return {false, std::string("perf_event_open: ") + ::strerror(number)};
  }
  ::ioctl(fd.get(), PERF_EVENT_IOC_ENABLE, 0);
  // The barrier keeps the loop, one conditional branch for each turn.
  for (int i = 0; i < 10'000; ++i) __asm__ volatile("" ::: "memory");
  ::ioctl(fd.get(), PERF_EVENT_IOC_DISABLE, 0);
  std::uint64_t count = 0;
  if (::read(fd.get(), &count, sizeof count) != sizeof count || count < 10'000) {
    return {false, "the branch counter opens but does not count"};
  }
  return {true, "the branch counter counts"};
}

bool has_split_vvar() {
  const Result<std::string> maps = read_file("/proc/self/maps", std::size_t{16} << 20);
  return maps.ok() && maps->find("[vvar_vclock]") != std::string::npos;
}

MachineReport probe_machine() {
  MachineReport out;
  if (Result<RrProgram> rr = find_rr(); rr.ok()) {
    out.rr = std::move(rr).value();
  } else {
    out.rr_problem = rr.error().message;
  }
  out.hardware_counters = probe_hardware_counters();
  {
    const FileDescriptor fd = open_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK);
    out.software_events = from_errno(fd ? 0 : errno, "software events can be opened");
  }
  out.perf_event_paranoid = read_number("/proc/sys/kernel/perf_event_paranoid");
  out.ptrace = probe_ptrace();
  out.yama_scope = read_number("/proc/sys/kernel/yama/ptrace_scope");
  out.seccomp = probe_seccomp();
  out.cpuid_faulting = probe_cpuid_faulting();
  utsname name{};
  if (::uname(&name) == 0) out.kernel = name.release;
  out.split_vvar = has_split_vvar();
  out.gdb = find_program("gdb");
  if (Result<std::filesystem::path> agent = agent::find_agent(); agent.ok()) {
    out.agent = std::move(agent).value();
  }
  return out;
}

std::filesystem::path default_trace_root() {
  const auto variable = [](const char* name) -> std::filesystem::path {
    const char* value = ::getenv(name);
    return value != nullptr && *value == '/' ? value : "";
  };
  if (const auto root = variable("_RR_TRACE_DIR"); !root.empty()) return root;
  if (const auto data = variable("XDG_DATA_HOME"); !data.empty()) return data / "culprit";
  if (const auto home = variable("HOME"); !home.empty()) return home / ".local/share/culprit";
  return "/tmp/culprit";
}

}  // namespace culprit::recorder
