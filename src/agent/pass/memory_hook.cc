// rr writes its breakpoints into the tracee through /proc/PID/mem. It sets one on the system call
// instruction that comes next, and takes it away when it is reached (ReplaySession::enter_syscall),
// so at most one stands at a time. The pass engine must know it: it tells a system call entry from
// another SIGTRAP, and it must not show up in memory that is read for the driver.
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "agent/pass/tracee.h"
#include "agent/tracee_filter.h"

namespace culprit::agent {
namespace {

RrBreakpoint breakpoint;

bool is_syscall_instruction(std::uint8_t first, std::uint8_t second) {
  return (first == 0x0f && (second == 0x05 || second == 0x34)) || (first == 0xcd && second == 0x80);
}

void before_byte_written(int fd, std::uint8_t byte, std::uint64_t address) {
  if (byte != 0xcc) {
    if (breakpoint.set && breakpoint.address == address) breakpoint.set = false;
    return;
  }
  std::uint8_t old[2] = {0, 0};
  const long got = ::syscall(SYS_pread64, fd, old, sizeof old, address);
  if (got < 1 || old[0] == 0xcc) return;
  breakpoint.address = address;
  breakpoint.original = old[0];
  breakpoint.on_syscall = got == 2 && is_syscall_instruction(old[0], old[1]);
  breakpoint.set = true;
}

}  // namespace

const RrBreakpoint& rr_breakpoint() { return breakpoint; }

}  // namespace culprit::agent

extern "C" [[gnu::visibility("default")]] ssize_t pwrite64(int fd, const void* buffer,
                                                           std::size_t size, off64_t offset) {
  if (size == 1 && culprit::agent::active_filter() != nullptr) {
    const int saved = errno;
    culprit::agent::before_byte_written(fd, *static_cast<const std::uint8_t*>(buffer),
                                        static_cast<std::uint64_t>(offset));
    errno = saved;
  }
  return ::syscall(SYS_pwrite64, fd, buffer, size, offset);
}
