#include "agent/report.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/kernel.h"

namespace culprit::agent {

Statistics g_statistics;

namespace {

std::atomic<int> g_report_fd{-1};

void write_line(int fd, std::string_view line) {
  char buffer[1024];
  const int n = snprintf(buffer, sizeof buffer, "%.*s\n", static_cast<int>(line.size()), line.data());
  if (n <= 0) return;
  const long length = n < static_cast<int>(sizeof buffer) ? n : static_cast<long>(sizeof buffer);
  // One write: lines of two threads do not mix (at most PIPE_BUF bytes).
  kernel_call(SYS_write, fd, to_register(&buffer[0]), length);
}

}  // namespace

void open_report(int fd) {
  if (fd < 0 || kernel_call(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC) < 0) return;
  g_report_fd.store(fd);
}

void report_line(std::string_view line) {
  const int fd = g_report_fd.load();
  if (fd >= 0) write_line(fd, line);
}

void report_statistics() {
  char line[256];
  const int n = snprintf(line, sizeof line,
                         "stats held=%lu released=%lu dropped=%lu interrupts=%lu killed=%lu landed=%lu",
                         g_statistics.held.load(), g_statistics.released.load(),
                         g_statistics.dropped.load(), g_statistics.interrupts.load(),
                         g_statistics.killed.load(), g_statistics.landed.load());
  if (n > 0) report_line(std::string_view(line, static_cast<std::size_t>(n)));
}

void refuse(Refusal kind, std::string_view why, void (*kill_tasks)()) {
  static std::atomic_flag refused = ATOMIC_FLAG_INIT;
  if (!refused.test_and_set()) {
    char line[900];
    static constexpr const char* names[] = {"hold", "starve", "learn", "hot", "other"};
    const char* name = names[static_cast<unsigned>(kind)];
    const int n = snprintf(line, sizeof line, "refused %s %.*s", name, static_cast<int>(why.size()),
                           why.data());
    const std::string_view text(line, n > 0 ? static_cast<std::size_t>(n) : 0);
    write_line(g_report_fd.load() >= 0 ? g_report_fd.load() : STDERR_FILENO, text);
    if (kill_tasks != nullptr) kill_tasks();
  }
  for (;;) kernel_call(SYS_exit_group, 70);  // EX_SOFTWARE
}

}  // namespace culprit::agent
