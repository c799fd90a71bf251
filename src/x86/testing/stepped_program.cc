#include "x86/testing/stepped_program.h"

#include <cpuid.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <random>
#include <string>

namespace culprit::x86::testing {
namespace {

// The standard XSAVE format that PTRACE_GETREGSET gives (Intel SDM vol. 1, 13.4): xmm at 160, the
// upper halves of ymm at the offset that CPUID leaf 0xd, 2 tells.
constexpr std::size_t kXmmOffset = 160;
constexpr std::size_t kXstateBv = 512;

std::size_t ymm_offset() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(0xd, 2, &eax, &ebx, &ecx, &edx) == 0 || eax == 0) return 0;
  return ebx;
}

Error failure(const std::string& what) {
  return Error{ErrorCode::io, what + ": " + std::strerror(errno)};
}

class Child {
 public:
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, __WALL) > 0 && !WIFEXITED(status) && !WIFSIGNALED(status)) {
    }
  }

  Status start() {
    pid_ = fork();
    if (pid_ < 0) return failure("fork");
    if (pid_ == 0) {
      constexpr std::size_t kBelowStack = 0x10000;
      const auto map = [](Address at, std::size_t size) {
        return mmap(reinterpret_cast<void*>(at.value), size, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED;
      };
      if (!map(kCode, kCodeSize) || !map(kData, kDataSize) ||
          !map(kStack - kBelowStack, kBelowStack + 0x1000))
        _exit(1);
      if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(2);
      raise(SIGSTOP);
      _exit(3);
    }
    return wait_for(SIGSTOP);
  }

  Status wait_for(int signal) {
    int status = 0;
    while (waitpid(pid_, &status, __WALL) < 0) {
      if (errno != EINTR) return failure("waitpid");
    }
    if (WIFSTOPPED(status) && WSTOPSIG(status) == signal) return {};
    if (WIFSTOPPED(status))
      return Error{ErrorCode::io,
                   "the child stopped with signal " + std::to_string(WSTOPSIG(status))};
    pid_ = 0;
    return Error{ErrorCode::io, "the child ended with status " + std::to_string(status)};
  }

  Status write(Address at, std::span<const std::byte> bytes) {
    const std::string path = "/proc/" + std::to_string(pid_) + "/mem";
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return failure(path);
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at.value));
    close(fd);
    if (n != static_cast<ssize_t>(bytes.size())) return failure("pwrite");
    return {};
  }

  Status read(Address at, std::span<std::byte> out) {
    iovec local{out.data(), out.size()};
    iovec remote{reinterpret_cast<void*>(at.value), out.size()};
    if (process_vm_readv(pid_, &local, 1, &remote, 1, 0) != static_cast<ssize_t>(out.size()))
      return failure("process_vm_readv");
    return {};
  }

  Status get_registers(user_regs_struct& regs) {
    if (ptrace(PTRACE_GETREGS, pid_, nullptr, &regs) != 0) return failure("PTRACE_GETREGS");
    return {};
  }
  Status set_registers(user_regs_struct& regs) {
    if (ptrace(PTRACE_SETREGS, pid_, nullptr, &regs) != 0) return failure("PTRACE_SETREGS");
    return {};
  }
  Status vector_state(int request, std::vector<std::byte>& area) {
    iovec io{area.data(), area.size()};
    if (ptrace(static_cast<__ptrace_request>(request), pid_,
               reinterpret_cast<void*>(static_cast<std::uintptr_t>(NT_X86_XSTATE)), &io) != 0)
      return failure("NT_X86_XSTATE");
    area.resize(io.iov_len);
    return {};
  }
  Status step() {
    if (ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) return failure("PTRACE_SINGLESTEP");
    return wait_for(SIGTRAP);
  }

 private:
  pid_t pid_ = 0;
};

Registers convert(const user_regs_struct& u) {
  Registers r;
  r.gpr = {u.rax, u.rcx, u.rdx, u.rbx, u.rsp, u.rbp, u.rsi, u.rdi,
           u.r8,  u.r9,  u.r10, u.r11, u.r12, u.r13, u.r14, u.r15};
  r.rip = u.rip;
  r.rflags = u.eflags;
  r.fs_base = u.fs_base;
  r.gs_base = u.gs_base;
  r.orig_rax = u.orig_rax;
  return r;
}

void store(const Registers& r, user_regs_struct& u) {
  unsigned long long* const fields[16] = {&u.rax, &u.rcx, &u.rdx, &u.rbx, &u.rsp, &u.rbp,
                                          &u.rsi, &u.rdi, &u.r8,  &u.r9,  &u.r10, &u.r11,
                                          &u.r12, &u.r13, &u.r14, &u.r15};
  for (std::size_t i = 0; i < 16; ++i) *fields[i] = r.gpr[i];
  u.rip = r.rip;
  u.eflags = r.rflags;
  u.fs_base = r.fs_base;
  u.gs_base = r.gs_base;
}

Result<Snapshot> snapshot(Child& child, std::size_t ymm) {
  Snapshot s;
  user_regs_struct regs{};
  CULPRIT_TRY(child.get_registers(regs));
  s.registers = convert(regs);
  std::vector<std::byte> area(16384);
  CULPRIT_TRY(child.vector_state(PTRACE_GETREGSET, area));
  for (std::size_t n = 0; n < 16; ++n) {
    std::memcpy(s.vectors[n].data(), area.data() + kXmmOffset + 16 * n, 16);
    if (ymm != 0 && ymm + 16 * n + 16 <= area.size())
      std::memcpy(s.vectors[n].data() + 16, area.data() + ymm + 16 * n, 16);
  }
  s.data.resize(kDataSize);
  s.stack.resize(kStackSize);
  CULPRIT_TRY(child.read(kData, s.data));
  CULPRIT_TRY(child.read(kStack, s.stack));
  return s;
}

std::vector<std::byte> random_bytes(std::mt19937_64& random, std::size_t size) {
  std::vector<std::byte> result(size);
  for (auto& b : result) b = static_cast<std::byte>(random());
  return result;
}

}  // namespace

std::optional<std::vector<std::byte>> Snapshot::bytes(const RegisterBytes& r) const {
  std::vector<std::byte> result;
  if (r.cls == RegisterClass::vector) {
    if (r.number >= 16 || r.offset + r.size > 32) return std::nullopt;
    const auto* first = vectors[r.number].data() + r.offset;
    result.assign(first, first + r.size);
    return result;
  }
  const auto value = value_of(r, registers);
  if (!value) return std::nullopt;
  for (unsigned i = 0; i < r.size; ++i) result.push_back(static_cast<std::byte>(*value >> (8 * i)));
  return result;
}

std::optional<std::vector<std::byte>> Snapshot::bytes(const ByteRange& range) const {
  const auto inside =
      [&](Address start,
          const std::vector<std::byte>& area) -> std::optional<std::vector<std::byte>> {
    if (!ByteRange{start, area.size()}.contains(range)) return std::nullopt;
    const auto* first = area.data() + (range.start - start);
    return std::vector<std::byte>(first, first + range.size);
  };
  if (auto found = inside(kData, data)) return found;
  return inside(kStack, stack);
}

std::size_t CodeReader::read(Address address, std::span<std::byte> out) const {
  const ByteRange all{start_, code_.size()};
  if (!all.contains(address)) return 0;
  const auto into = static_cast<std::size_t>(address - start_);
  const std::size_t n = std::min(out.size(), code_.size() - into);
  std::copy_n(code_.begin() + static_cast<std::ptrdiff_t>(into), n, out.begin());
  return n;
}

std::size_t OwnMemory::read(Address address, std::span<std::byte> out) const {
  iovec local{out.data(), out.size()};
  iovec remote{reinterpret_cast<void*>(address.value), out.size()};
  const ssize_t n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

Result<std::vector<Snapshot>> run_stepped(const RunSpec& spec) {
  std::mt19937_64 random(spec.seed);
  Child child;
  CULPRIT_TRY(child.start());
  CULPRIT_TRY(child.write(kCode, spec.code));
  CULPRIT_TRY(child.write(kData, random_bytes(random, kDataSize)));
  CULPRIT_TRY(child.write(kData, spec.data));
  CULPRIT_TRY(child.write(kStack, random_bytes(random, kStackSize)));

  user_regs_struct regs{};
  CULPRIT_TRY(child.get_registers(regs));
  Registers r = convert(regs);
  for (auto& value : r.gpr) value = random();
  r[Gpr::rsp] = kStack.value + kStackSize / 2;
  r[Gpr::rbx] = kData.value + 0x400;
  r.rip = spec.entry.value;
  r.rflags = 0x202;
  if (!spec.own_tls) r.fs_base = kData.value;
  for (const auto& [reg, value] : spec.setup) r[reg] = value;
  store(r, regs);
  regs.orig_rax = ~0ULL;  // not a system call that could be restarted
  CULPRIT_TRY(child.set_registers(regs));

  const std::size_t ymm = ymm_offset();
  std::vector<std::byte> area(16384);
  CULPRIT_TRY(child.vector_state(PTRACE_GETREGSET, area));
  for (std::size_t i = kXmmOffset; i < kXmmOffset + 256; ++i)
    area[i] = static_cast<std::byte>(random());
  // The components x87, SSE and AVX must be marked as in use, or the kernel loads their reset
  // state.
  std::uint64_t in_use = 0;
  std::memcpy(&in_use, area.data() + kXstateBv, sizeof in_use);
  in_use |= 3;
  if (ymm != 0 && ymm + 256 <= area.size()) {
    for (std::size_t i = ymm; i < ymm + 256; ++i) area[i] = static_cast<std::byte>(random());
    in_use |= 4;
  }
  std::memcpy(area.data() + kXstateBv, &in_use, sizeof in_use);
  CULPRIT_TRY(child.vector_state(PTRACE_SETREGSET, area));

  std::vector<Snapshot> log;
  while (true) {
    CULPRIT_ASSIGN(Snapshot s, snapshot(child, ymm));
    const bool done = s.registers.pc() == spec.stop;
    log.push_back(std::move(s));
    if (done || log.size() > spec.max_steps) return log;
    const auto stepped = child.step();
    if (!stepped.ok())
      return stepped.error().with_context("at " + to_hex(log.back().registers.pc()));
  }
}

}  // namespace culprit::x86::testing
