// For tests: runs code in a child process, one instruction at a time, and logs all that it holds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/registers.h"
#include "base/result.h"
#include "base/types.h"
#include "x86/places.h"

namespace culprit::x86::testing {

/// Reads this process's own memory.
class OwnMemory : public MemoryReader {
 public:
  std::size_t read(Address address, std::span<std::byte> out) const override;
};

/// Where the child has its code, data and stack. Nothing else is touched by test code.
inline constexpr Address kCode{0x1000'0000};
inline constexpr std::size_t kCodeSize = 0x10000;
inline constexpr Address kData{0x2000'0000};
inline constexpr std::size_t kDataSize = 0x1000;
inline constexpr Address kStack{0x3001'0000};
inline constexpr std::size_t kStackSize = 0x800;  ///< logged; rsp starts in the middle of it

/// Everything before one instruction.
struct Snapshot {
  Registers registers;
  std::array<std::array<std::byte, 32>, 16> vectors{};  ///< ymm0..15 (xmm where there is no AVX)
  std::vector<std::byte> data;
  std::vector<std::byte> stack;

  /// Bytes of a register or of the child's data and stack; nothing where they are not logged.
  std::optional<std::vector<std::byte>> bytes(const RegisterBytes& r) const;
  std::optional<std::vector<std::byte>> bytes(const ByteRange& range) const;
};

/// Reads the code that ran.
class CodeReader : public MemoryReader {
 public:
  CodeReader(Address start, std::span<const std::byte> code) : start_(start), code_(code) {}
  std::size_t read(Address address, std::span<std::byte> out) const override;

 private:
  Address start_;
  std::span<const std::byte> code_;
};

/// Runs `code` (at most kCodeSize) at kCode from `entry` until rip is `stop` or max_steps are over.
/// `data` fills kData from its start. `seed` fills all registers, the stack and the vector
/// registers with bytes that hardly repeat; rbx points at kData + 0x400, rsp into the stack,
/// fs_base at kData. `setup` may change the registers before the first step. The last snapshot is
/// the final state. Errors: io where ptrace is refused or the child died by a signal (in the
/// message).
struct RunSpec {
  std::span<const std::byte> code;
  Address entry = kCode;
  Address stop;
  std::span<const std::byte> data;
  std::uint64_t seed = 1;
  std::size_t max_steps = 100'000;
  /// Added to the seeded registers: pairs of register and value.
  std::vector<std::pair<Gpr, std::uint64_t>> setup;
  /// Leave fs_base as it is, for code of this very program (the child is a fork of it).
  bool own_tls = false;
};
Result<std::vector<Snapshot>> run_stepped(const RunSpec& spec);

}  // namespace culprit::x86::testing
