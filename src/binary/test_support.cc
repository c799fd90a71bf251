#include "binary/test_support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace culprit::binary::testing {

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "culprit-binary-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

bool run(const std::vector<std::string>& arguments,
         const std::vector<std::pair<std::string, std::string>>& environment) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return false;
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipe_ends[1], 1);
    dup2(pipe_ends[1], 2);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> argv;
    for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  close(pipe_ends[1]);
  std::string output;
  std::array<char, 4096> buffer;
  ssize_t got = 0;
  while ((got = read(pipe_ends[0], buffer.data(), buffer.size())) > 0) {
    output.append(buffer.data(), static_cast<std::size_t>(got));
  }
  close(pipe_ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  const bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!ok) std::fprintf(stderr, "%s failed:\n%s\n", arguments[0].c_str(), output.c_str());
  return ok;
}

std::string test_data(const std::string& name) {
  return std::string(CULPRIT_SOURCE_DIR) + "/src/binary/testdata/" + name;
}

std::vector<std::string> go_tools() {
  std::vector<std::string> tools;
  for (const char* path : {"/usr/lib/go-1.19/bin/go", "/usr/local/go/bin/go", "/usr/bin/go"}) {
    std::error_code ignored;
    const std::string real = std::filesystem::canonical(path, ignored).string();
    if (real.empty()) continue;
    bool known = false;
    for (const std::string& tool : tools) known = known || tool == real;
    if (!known) tools.push_back(real);
  }
  return tools;
}

bool build_go(const std::string& go, const std::string& source, const std::string& output,
              bool strip) {
  // One cache for all cases: a first build compiles the whole runtime.
  const std::string cache = std::string(CULPRIT_BINARY_DIR) + "/go-cache";
  std::vector<std::string> arguments{go, "build", "-o", output};
  if (strip) arguments.insert(arguments.end(), {"-ldflags", "-s -w"});
  arguments.push_back(source);
  return run(arguments, {{"GOCACHE", cache},
                         {"CGO_ENABLED", "0"},
                         {"GOFLAGS", "-mod=mod"},
                         {"GO111MODULE", "off"},
                         {"GOTOOLCHAIN", "local"}});
}

std::vector<Mapping> read_maps(pid_t pid) {
  std::vector<Mapping> mappings;
  std::ifstream file("/proc/" + std::to_string(pid) + "/maps");
  std::string line;
  while (std::getline(file, line)) {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t offset = 0;
    std::array<char, 5> flags{};
    int path_start = 0;
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %*s %n", &begin,
                    &end, flags.data(), &offset, &path_start) < 4) {
      continue;
    }
    Mapping m;
    m.range = {Address{begin}, end - begin};
    m.file_offset = offset;
    m.readable = flags[0] == 'r';
    m.writable = flags[1] == 'w';
    m.executable = flags[2] == 'x';
    m.shared = flags[3] == 's';
    if (path_start > 0 && static_cast<std::size_t>(path_start) < line.size()) {
      m.path = line.substr(static_cast<std::size_t>(path_start));
    }
    mappings.push_back(std::move(m));
  }
  return mappings;
}

std::size_t ProcessMemory::read(Address address, std::span<std::byte> out) const {
  // Page by page: a partial read must give what there is.
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t at = address.value + done;
    const std::size_t size =
        std::min<std::size_t>(out.size() - done, static_cast<std::size_t>(4096 - at % 4096));
    iovec local{out.data() + done, size};
    iovec remote{reinterpret_cast<void*>(at), size};
    const ssize_t got = process_vm_readv(pid_, &local, 1, &remote, 1, 0);
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

Registers from_context(const void* context) {
  const auto& g = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  Registers r;
  const auto set = [&](Gpr reg, int index) { r[reg] = static_cast<std::uint64_t>(g[index]); };
  set(Gpr::rax, REG_RAX);
  set(Gpr::rcx, REG_RCX);
  set(Gpr::rdx, REG_RDX);
  set(Gpr::rbx, REG_RBX);
  set(Gpr::rsp, REG_RSP);
  set(Gpr::rbp, REG_RBP);
  set(Gpr::rsi, REG_RSI);
  set(Gpr::rdi, REG_RDI);
  set(Gpr::r8, REG_R8);
  set(Gpr::r9, REG_R9);
  set(Gpr::r10, REG_R10);
  set(Gpr::r11, REG_R11);
  set(Gpr::r12, REG_R12);
  set(Gpr::r13, REG_R13);
  set(Gpr::r14, REG_R14);
  set(Gpr::r15, REG_R15);
  r.rip = static_cast<std::uint64_t>(g[REG_RIP]);
  asm("mov %%fs:0, %0" : "=r"(r.fs_base));  // the thread control block's first word is its address
  return r;
}

TracedChild::TracedChild(const std::function<void()>& body) {
  pid_ = fork();
  if (pid_ == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    body();
    _exit(0);
  }
  stopped_ = wait_stop();
}

TracedChild::TracedChild(const std::vector<std::string>& arguments) {
  pid_ = fork();
  if (pid_ == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    std::vector<char*> argv;
    for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  stopped_ = wait_stop();
}

TracedChild::~TracedChild() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) == pid_ && !WIFEXITED(status) && !WIFSIGNALED(status)) {
  }
}

bool TracedChild::wait_stop() {
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) return false;
  if (WIFEXITED(status) || WIFSIGNALED(status)) {
    pid_ = -1;
    return false;
  }
  last_signal_ = WSTOPSIG(status);
  return true;
}

Registers TracedChild::registers() const {
  user_regs_struct u{};
  ptrace(PTRACE_GETREGS, pid_, nullptr, &u);
  Registers r;
  r[Gpr::rax] = u.rax;
  r[Gpr::rcx] = u.rcx;
  r[Gpr::rdx] = u.rdx;
  r[Gpr::rbx] = u.rbx;
  r[Gpr::rsp] = u.rsp;
  r[Gpr::rbp] = u.rbp;
  r[Gpr::rsi] = u.rsi;
  r[Gpr::rdi] = u.rdi;
  r[Gpr::r8] = u.r8;
  r[Gpr::r9] = u.r9;
  r[Gpr::r10] = u.r10;
  r[Gpr::r11] = u.r11;
  r[Gpr::r12] = u.r12;
  r[Gpr::r13] = u.r13;
  r[Gpr::r14] = u.r14;
  r[Gpr::r15] = u.r15;
  r.rip = u.rip;
  r.rflags = u.eflags;
  r.fs_base = u.fs_base;
  r.gs_base = u.gs_base;
  return r;
}

bool TracedChild::step() {
  // Signals such as Go's preemption requests are not delivered: the steps stay in one function.
  if (ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) return false;
  return stopped_ = wait_stop();
}

bool TracedChild::run_until(int signal) {
  int deliver = 0;
  for (int stops = 0; stops < 100000; ++stops) {
    if (ptrace(PTRACE_CONT, pid_, nullptr, deliver) != 0) return false;
    if (!wait_stop()) return stopped_ = false;
    if (last_signal_ == signal) return true;
    deliver = last_signal_ == SIGTRAP || last_signal_ == SIGSTOP ? 0 : last_signal_;
  }
  return false;
}

void ShadowStack::observe(const Registers& before, const Registers& after,
                          const MemoryReader& memory) {
  std::array<std::byte, 4> code{};
  if (memory.read(before.pc(), code) != code.size()) return;
  std::size_t at = 0;
  const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(code[i]); };
  while (at < 2 && (byte(at) == 0xF2 || byte(at) == 0xF3 || byte(at) == 0x3E || byte(at) == 0x66 ||
                    (byte(at) & 0xF0U) == 0x40)) {
    ++at;
  }
  const unsigned opcode = byte(at);
  // "mov r/m64, %rsp" other than from %rbp (the epilogue's).
  const unsigned modrm = byte(at + 1);
  const bool load = opcode == 0x8B && (modrm & 0x38U) == 0x20 && (byte(0) & 0x4CU) == 0x48;
  const bool move = opcode == 0x89 && (modrm & 0xC7U) == 0xC4 && (modrm & 0x38U) != 0x28;
  if ((load || move) && after.sp() != before.sp()) {
    while (!switches_.empty() && slots_.size() < switches_.back().depth) switches_.pop_back();
    const auto undone = std::find_if(switches_.begin(), switches_.end(),
                                     [&](const Switch& s) { return s.sp == after.sp(); });
    const std::int64_t distance = after.sp() - before.sp();
    if (undone != switches_.end()) {
      switches_.erase(undone, switches_.end());
    } else if (!switches_.empty() && (distance > (1 << 20) || distance < -(1 << 20))) {
      slots_.clear();  // another goroutine, or the same one on a new stack: begin again
      switches_.clear();
    } else {
      switches_.push_back({before.sp(), slots_.size()});
    }
    return;
  }
  const bool call = opcode == 0xE8 || (opcode == 0xFF && ((byte(at + 1) >> 3U) & 7U) == 2);
  if (call && after.sp() == before.sp() - 8) {
    slots_.push_back(after.sp());
  } else if ((opcode == 0xC3 || opcode == 0xC2) && !slots_.empty()) {
    if (slots_.back() == before.sp()) {
      slots_.pop_back();
    } else {
      slots_.clear();  // a stack switch: begin again
      switches_.clear();
    }
  }
}

}  // namespace culprit::binary::testing
