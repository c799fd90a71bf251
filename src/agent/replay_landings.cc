#include "agent/replay_landings.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/kernel.h"

namespace culprit::agent {
namespace {

/// At most `limit` bytes of a file; empty if there is none.
std::string read_small_file(const std::string& path, std::size_t limit) {
  std::string out;
  const long fd = kernel_call(SYS_openat, AT_FDCWD, to_register(path.c_str()),
                              O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return out;
  char buffer[4096];
  while (out.size() < limit) {
    const long n = kernel_call(SYS_read, fd, to_register(&buffer[0]), sizeof buffer);
    if (n == -EINTR) continue;
    if (n <= 0) break;
    out.append(buffer, static_cast<std::size_t>(n));
  }
  kernel_call(SYS_close, fd);
  if (out.size() > limit) out.resize(limit);
  return out;
}

}  // namespace

LandingSet landings_of_trace() {
  const std::string command = read_small_file("/proc/self/cmdline", 1 << 20);
  LandingSet out;
  std::size_t word = 0;
  for (std::size_t at = 0; at < command.size(); ++word) {
    const std::size_t end = command.find('\0', at);
    const std::string argument = command.substr(at, end - at);
    at = end == std::string::npos ? command.size() : end + 1;
    // The first two are rr and its subcommand.
    if (word < 2 || argument.empty() || argument.front() == '-') continue;
    const std::string text = read_small_file(argument + "/" + landings_file, 4096);
    if (!text.empty() && parse_landings(text, &out)) return out;
  }
  return out;
}

bool ReplayLandings::before_resume(pid_t tid, Resume resume) {
  requests_[tid] = resume.request;
  const int saved = errno;
  const bool armed = landing_counter().arm(tid);
  errno = saved;
  if (!armed) {
    // rr would end with a mismatch of ticks, which nobody understands.
    fprintf(stderr, "culprit: the kernel does not let debug registers be set\n");
  }
  return false;
}

bool ReplayLandings::on_stop(pid_t tid, int status) {
  if (!WIFSTOPPED(status)) {
    requests_.erase(tid);
    landing_counter().forget(tid);
    return false;
  }
  if (status >> 8 != SIGTRAP) return false;
  const int saved = errno;
  bool stepped = false;
  bool swallowed = false;
  if (landing_counter().on_trap(tid, &stepped) != LandingCounter::Hit::none) {
    if (stepped) {
      landing_counter().shown(tid);
    } else {
      swallowed = raw_ptrace(requests_[tid], tid, 0, 0) >= 0;
    }
  }
  errno = saved;
  return swallowed;
}

}  // namespace culprit::agent
