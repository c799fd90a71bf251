// What the tests of this layer share: building small programs, this process as a specimen, and a
// traced child.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/registers.h"
#include "binary/mapping.h"

namespace culprit::binary::testing {

/// A fresh folder, removed with everything in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Runs a program to its end, output discarded unless it fails (then printed). True if it exited
/// with 0.
bool run(const std::vector<std::string>& arguments,
         const std::vector<std::pair<std::string, std::string>>& environment = {});

/// The path of a file under testdata/.
std::string test_data(const std::string& name);

/// Go toolchains of this machine; empty if there are none.
std::vector<std::string> go_tools();
/// Builds testdata/program.go without cgo. False if the toolchain fails.
bool build_go(const std::string& go, const std::string& source, const std::string& output,
              bool strip = false);

/// /proc/PID/maps as Mappings.
std::vector<Mapping> read_maps(pid_t pid);

/// Memory of a live process (this one, or a stopped child).
class ProcessMemory : public MemoryReader {
 public:
  explicit ProcessMemory(pid_t pid) : pid_(pid) {}
  [[nodiscard]] std::size_t read(Address address, std::span<std::byte> out) const override;

 private:
  pid_t pid_;
};

/// The registers of the calling function, at a point inside of it.
#define CULPRIT_TEST_REGISTERS(registers) \
  ucontext_t culprit_test_context;        \
  getcontext(&culprit_test_context);      \
  const ::culprit::Registers registers =  \
      ::culprit::binary::testing::from_context(&culprit_test_context)

/// Registers of a `ucontext_t*` (a signal handler's third argument).
Registers from_context(const void* context);

/// A traced child.
class TracedChild {
 public:
  /// Forks; the child stops itself, then runs `body` and exits.
  explicit TracedChild(const std::function<void()>& body);
  /// Starts a program, stopped at its first instruction.
  explicit TracedChild(const std::vector<std::string>& arguments);
  ~TracedChild();
  TracedChild(const TracedChild&) = delete;
  TracedChild& operator=(const TracedChild&) = delete;

  [[nodiscard]] bool stopped() const { return stopped_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] Registers registers() const;
  /// One instruction. False when the child ended.
  bool step();
  /// Until the next stop with this signal. False when the child ended.
  bool run_until(int signal);

 private:
  bool wait_stop();
  pid_t pid_ = -1;
  bool stopped_ = false;
  int last_signal_ = 0;
};

/// Follows a thread's calls and returns by watching its instructions: the addresses of the
/// return-address slots that are live, outermost first. Independent of any debug information.
class ShadowStack {
 public:
  /// Call before each step with the state, and after it with the new one.
  void observe(const Registers& before, const Registers& after, const MemoryReader& memory);
  [[nodiscard]] const std::vector<Address>& slots() const { return slots_; }
  /// How many of the slots, from the outermost, lie behind the last switch of the stack pointer
  /// that is not undone yet (Go's systemstack, vdso calls). No CFI describes such a switch, so the
  /// frame that made it cannot be compared until it calls something or switches back.
  [[nodiscard]] std::size_t behind_switch() const {
    return switches_.empty() ? 0 : switches_.back().depth;
  }
  [[nodiscard]] bool comparable() const { return slots_.size() > behind_switch(); }

 private:
  struct Switch {
    Address sp;         // the stack pointer before
    std::size_t depth;  // slots at that time
  };
  std::vector<Address> slots_;
  std::vector<Switch> switches_;
};

}  // namespace culprit::binary::testing
