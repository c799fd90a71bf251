#include "agent/spin_look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "agent/kernel.h"
#include "agent/report.h"
#include "agent/tracee_filter.h"

namespace culprit::agent {
namespace {

constexpr std::size_t most_steps = 3000;
constexpr std::size_t most_steps_if_thorough = 100'000;
constexpr std::int64_t most_time_ns = 1'300'000'000;

std::int64_t now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

/// A loop is one whose instructions were seen so often; long ones are seen twice at best.
constexpr std::uint32_t fewest_visits = 3;
constexpr std::uint32_t fewest_visits_if_thorough = 2;

struct Instruction {
  bool stop = false;   ///< must not be stepped over, and is no landing
  bool usable = true;  ///< may be a landing
  bool pause = false;
  bool locked = false;
};

/// Looks at the first bytes of an instruction: prefixes and opcode (Intel SDM vol. 2, 2.1 and
/// appendix A).
Instruction classify(const unsigned char* code, std::size_t size) {
  Instruction out;
  bool repeat = false;
  std::size_t at = 0;
  for (; at < size; ++at) {
    const unsigned char byte = code[at];
    if (byte == 0xf0) {
      out.locked = true;
    } else if (byte == 0xf2 || byte == 0xf3) {
      repeat = byte == 0xf3;
      out.usable = false;  // may be a string instruction, whose iterations are one execution
    } else if (byte != 0x66 && byte != 0x67 && byte != 0x2e && byte != 0x36 && byte != 0x3e &&
               byte != 0x26 && byte != 0x64 && byte != 0x65) {
      break;
    }
  }
  if (at < size && (code[at] & 0xf0) == 0x40) ++at;  // REX
  if (at >= size) {
    out.stop = true;
    return out;
  }
  const unsigned char opcode = code[at];
  const unsigned char second = at + 1 < size ? code[at + 1] : 0;
  if (opcode == 0x90 && repeat) {
    out.pause = true;
    out.usable = true;
  } else if (opcode == 0x86 || opcode == 0x87) {
    out.locked = true;  // xchg with memory locks by itself
  } else if (opcode == 0x0f) {
    // syscall, sysenter; rdtsc, rdtscp and cpuid, which rr emulates at a fault.
    if (second == 0x05 || second == 0x34) out.stop = true;
    if (second == 0x31 || second == 0xa2 || second == 0x01) out.usable = false;
  } else if (opcode == 0x9c || opcode == 0x9d || opcode == 0xcc || opcode == 0xcd ||
             opcode == 0xcf) {
    out.stop = true;  // they show or change the trap flag, or trap
  }
  if (out.stop) out.usable = false;
  return out;
}

struct Seen {
  Instruction instruction;
  std::uint32_t visits = 0;
  std::uint64_t stack = 0;
  user_regs_struct registers{};  ///< at the last visit
  bool recurred = false;         ///< all registers were the same at two visits in a row
};

/// Registers that a loop which waits does not change. The flags' trap bit is the step's.
bool same(user_regs_struct a, user_regs_struct b) {
  a.eflags = b.eflags = 0;
  return memcmp(&a, &b, sizeof a) == 0;
}

}  // namespace

SpinLook look_at_spin(pid_t tid, bool thorough, HeldSignals& held) {
  SpinLook out;
  std::unordered_map<std::uint64_t, Seen> seen;
  const std::size_t limit = thorough ? most_steps_if_thorough : most_steps;
  const std::int64_t start = now();
  for (std::size_t step = 0; step < limit; ++step) {
    if (step % 256 == 0 && now() - start > most_time_ns) break;
    user_regs_struct registers;
    if (raw_ptrace(PTRACE_GETREGS, tid, 0, reinterpret_cast<std::uintptr_t>(&registers)) < 0) break;
    if (step == 0) out.address = registers.rip;
    const auto [found, added] = seen.try_emplace(registers.rip);
    Seen& here = found->second;
    if (added) {
      unsigned char code[15];
      iovec local{code, sizeof code};
      iovec remote{reinterpret_cast<void*>(registers.rip), sizeof code};
      long got = kernel_call(SYS_process_vm_readv, tid, to_register(&local), 1,
                             to_register(&remote), 1, 0);
      here.instruction = classify(code, got > 0 ? static_cast<std::size_t>(got) : 0);
    } else if (same(here.registers, registers)) {
      here.recurred = true;
    }
    ++here.visits;
    here.stack = registers.rsp;
    here.registers = registers;
    if (here.instruction.stop) break;
    if (raw_ptrace(PTRACE_SINGLESTEP, tid, 0, 0) < 0) break;
    int status = 0;
    pid_t waited;
    do {
      waited = raw_waitpid(tid, &status, __WALL);
    } while (waited < 0 && errno == EINTR);
    if (waited < 0) break;
    if (status >> 8 == SIGTRAP) continue;
    siginfo_t info;
    memset(&info, 0, sizeof info);
    const bool asynchronous =
        WIFSTOPPED(status) && status >> 16 == 0 && WSTOPSIG(status) != (SIGTRAP | 0x80) &&
        raw_ptrace(PTRACE_GETSIGINFO, tid, 0, reinterpret_cast<std::uintptr_t>(&info)) >= 0 &&
        !is_synchronous(info);
    if (asynchronous && info.si_signo != SIGSTKFLT && held.add(info) != HeldSignals::Added::full) {
      continue;
    }
    if (asynchronous && info.si_signo == SIGSTKFLT) continue;
    if (WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_STOP) continue;
    // Something that rr must see: the look is over.
    out.resumed = true;
    queue_status(tid, status);
    break;
  }
  if (out.resumed) return out;

  const Seen* best = nullptr;
  bool waits = false;
  for (const auto& entry : seen) {
    const std::uint64_t address = entry.first;
    const Seen& here = entry.second;
    if (here.visits < (thorough ? fewest_visits_if_thorough : fewest_visits)) continue;
    waits |= here.instruction.pause || here.instruction.locked || here.recurred;
    if (!here.instruction.usable) continue;
    // The outermost frame of the loop first: what it calls may be called by others. Then a pause,
    // which stands in waiting loops only. Then what is executed least.
    const auto better = [&] {
      if (best == nullptr) return true;
      if (here.stack != best->stack) return here.stack > best->stack;
      if (here.instruction.pause != best->instruction.pause) return here.instruction.pause;
      if (here.visits != best->visits) return here.visits < best->visits;
      return address < out.landing;
    };
    if (!better()) continue;
    best = &here;
    out.landing = address;
  }
  if (waits) out.kind = SpinLook::Kind::waits;
  return out;
}

void report_place(pid_t tid, std::uint64_t address) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/maps", tid);
  char line[900];
  snprintf(line, sizeof line, "spin %llx 0 -", static_cast<unsigned long long>(address));
  const long fd = kernel_call(SYS_openat, AT_FDCWD, to_register(&path[0]), O_RDONLY | O_CLOEXEC);
  std::vector<char> text(std::size_t{1} << 20);
  std::size_t length = 0;
  while (fd >= 0 && length + 1 < text.size()) {
    const long n = kernel_call(SYS_read, fd, to_register(text.data() + length),
                               static_cast<long>(text.size() - length - 1));
    if (n <= 0) break;
    length += static_cast<std::size_t>(n);
  }
  if (fd >= 0) kernel_call(SYS_close, fd);
  text[length] = '\0';
  for (char* at = text.data(); *at != '\0';) {
    char* end = strchr(at, '\n');
    if (end == nullptr) break;
    *end = '\0';
    unsigned long long start = 0;
    unsigned long long stop = 0;
    unsigned long long offset = 0;
    int name = 0;
    if (sscanf(at, "%llx-%llx %*4s %llx %*s %*u %n", &start, &stop, &offset, &name) == 3 &&
        start <= address && address < stop) {
      if (name > 0 && at[name] == '/') {
        snprintf(line, sizeof line, "spin %llx %llx %.700s",
                 static_cast<unsigned long long>(address), address - start + offset, at + name);
      }
      break;
    }
    at = end + 1;
  }
  report_line(line);
}

}  // namespace culprit::agent
