#include "agent/pass/tracee.h"

#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "agent/tracee_filter.h"

namespace culprit::agent {
namespace {

std::uintptr_t debug_register(std::size_t index) {
  return offsetof(struct user, u_debugreg) + index * sizeof(std::uintptr_t);
}

std::optional<std::uint64_t> peek_user(pid_t tid, std::uintptr_t offset) {
  long value = 0;
  if (raw_ptrace(PTRACE_PEEKUSER, tid, offset, reinterpret_cast<std::uintptr_t>(&value)) < 0) {
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(value);
}

}  // namespace

std::optional<Registers> read_registers(pid_t tid) {
  user_regs_struct raw;
  if (raw_ptrace(PTRACE_GETREGS, tid, 0, reinterpret_cast<std::uintptr_t>(&raw)) < 0) {
    return std::nullopt;
  }
  Registers r;
  r.gpr = {raw.rax, raw.rcx, raw.rdx, raw.rbx, raw.rsp, raw.rbp, raw.rsi, raw.rdi,
           raw.r8,  raw.r9,  raw.r10, raw.r11, raw.r12, raw.r13, raw.r14, raw.r15};
  r.rip = raw.rip;
  r.rflags = raw.eflags;
  r.fs_base = raw.fs_base;
  r.gs_base = raw.gs_base;
  r.orig_rax = raw.orig_rax;
  return r;
}

std::optional<std::uint64_t> read_rip(pid_t tid) {
  return peek_user(tid, offsetof(user_regs_struct, rip));
}

std::optional<std::uint64_t> read_rax(pid_t tid) {
  return peek_user(tid, offsetof(user_regs_struct, rax));
}

std::optional<std::uint64_t> read_dr6(pid_t tid) { return peek_user(tid, debug_register(6)); }

void set_dr6(pid_t tid, std::uint64_t value) {
  raw_ptrace(PTRACE_POKEUSER, tid, debug_register(6), value);
}

std::uint64_t dr7_of(std::span<const wire::Unit> units) {
  std::uint64_t dr7 = 0;
  for (std::size_t i = 0; i < units.size(); ++i) {
    // Intel SDM vol. 3, 18.2.4: L<i>, R/W<i> (0 execute, 1 write), LEN<i> (8 bytes is 2, 4 bytes is
    // 3).
    std::uint64_t length = 0;
    if (units[i].kind == wire::ProbeKind::write) {
      dr7 |= std::uint64_t{1} << (16 + 4 * i);
      length = units[i].length == 8 ? 2 : units[i].length == 4 ? 3 : units[i].length == 2 ? 1 : 0;
    }
    dr7 |= length << (18 + 4 * i);
    dr7 |= std::uint64_t{1} << (2 * i);
  }
  return dr7;
}

void disarm(pid_t tid) { raw_ptrace(PTRACE_POKEUSER, tid, debug_register(7), 0); }

int arm(pid_t tid, std::span<const wire::Unit> units, std::uint64_t dr7) {
  // An exec clears the debug registers without an event, and rr itself sets DR7 to 0 now and then:
  // look each time. The kernel returns what was written for the enable and type bits.
  const auto current = peek_user(tid, debug_register(7));
  if (!current) return 0;  // the task is gone; the resume will tell rr
  if (*current == dr7) return 0;
  if (raw_ptrace(PTRACE_POKEUSER, tid, debug_register(7), 0) < 0) return errno;
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (raw_ptrace(PTRACE_POKEUSER, tid, debug_register(i), units[i].address) < 0) return errno;
  }
  return raw_ptrace(PTRACE_POKEUSER, tid, debug_register(7), dr7) < 0 ? errno : 0;
}

std::optional<std::uint8_t> poke_byte(pid_t tid, std::uint64_t address, std::uint8_t byte) {
  const std::uint64_t word_address = address & ~std::uint64_t{7};
  const unsigned shift = 8 * static_cast<unsigned>(address & 7);
  std::uint64_t word = 0;
  if (raw_ptrace(PTRACE_PEEKDATA, tid, word_address, reinterpret_cast<std::uintptr_t>(&word)) < 0) {
    return std::nullopt;
  }
  const auto old = static_cast<std::uint8_t>(word >> shift);
  word = (word & ~(std::uint64_t{0xff} << shift)) | std::uint64_t{byte} << shift;
  if (raw_ptrace(PTRACE_POKEDATA, tid, word_address, word) < 0) return std::nullopt;
  return old;
}

bool set_rip(pid_t tid, std::uint64_t rip) {
  return raw_ptrace(PTRACE_POKEUSER, tid, offsetof(user_regs_struct, rip), rip) >= 0;
}

void resume_past_breakpoint(pid_t tid, std::uint64_t rflags) {
  constexpr std::uint64_t kResumeFlag = 1 << 16;
  raw_ptrace(PTRACE_POKEUSER, tid, offsetof(user_regs_struct, eflags), rflags | kResumeFlag);
}

std::size_t read_memory(pid_t tid, std::uint64_t address, std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    // One page at a time after a short read: process_vm_readv stops at the first page it cannot
    // read.
    iovec local{out.data() + done, out.size() - done};
    iovec remote{reinterpret_cast<void*>(address + done), out.size() - done};
    const ssize_t got = ::process_vm_readv(tid, &local, 1, &remote, 1, 0);
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  // Pages without read permission (PROT_NONE with contents, execute-only) are readable by ptrace
  // alone.
  while (done < out.size()) {
    const std::uint64_t at = address + done;
    long word = 0;
    if (raw_ptrace(PTRACE_PEEKDATA, tid, at & ~std::uint64_t{7},
                   reinterpret_cast<std::uintptr_t>(&word)) < 0) {
      break;
    }
    const std::size_t skip = at & 7;
    const std::size_t count = std::min<std::size_t>(8 - skip, out.size() - done);
    std::memcpy(out.data() + done, reinterpret_cast<const char*>(&word) + skip, count);
    done += count;
  }
  const RrBreakpoint& breakpoint = rr_breakpoint();
  if (breakpoint.set && breakpoint.address - address < done &&
      out[breakpoint.address - address] == std::byte{0xcc}) {
    out[breakpoint.address - address] = std::byte{breakpoint.original};
  }
  return done;
}

}  // namespace culprit::agent
