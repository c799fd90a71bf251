#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "base/subprocess.h"

namespace culprit {
namespace {

std::atomic<int> g_signal{0};
std::atomic<int> g_count{0};
std::atomic<int> g_write_end{-1};
std::atomic<int> g_read_end{-1};

void on_interrupt(int number) {
  const int saved = errno;
  int none = 0;
  g_signal.compare_exchange_strong(none, number);
  // An impatient user: cleaning up has hung, so give the default meaning back.
  if (number == SIGINT && g_count.fetch_add(1) + 1 >= 3) {
    ::signal(SIGINT, SIG_DFL);
    ::raise(SIGINT);
  }
  const int fd = g_write_end.load();
  if (fd >= 0) {
    [[maybe_unused]] const ssize_t n = ::write(fd, "!", 1);
  }
  errno = saved;
}

}  // namespace

void install_interrupt_handlers() {
  if (g_read_end.load() >= 0) return;
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) return;
  g_read_end.store(fds[0]);
  g_write_end.store(fds[1]);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction old {};
    if (::sigaction(number, nullptr, &old) != 0 || old.sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = on_interrupt;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    ::sigaction(number, &action, nullptr);
  }
}

int interrupt_signal() { return g_signal.load(); }

Status check_interrupt() {
  const int number = interrupt_signal();
  if (number == 0) return {};
  return Error{ErrorCode::interrupted, "interrupted by " + signal_name(number)};
}

int interrupt_fd() { return g_read_end.load(); }

void clear_interrupt() {
  g_signal.store(0);
  g_count.store(0);
  char bytes[16];
  while (g_read_end.load() >= 0 && ::read(g_read_end.load(), bytes, sizeof bytes) > 0) {
  }
}

}  // namespace culprit
