// A stopped task of the replay at the lowest level: registers, debug registers, memory.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "agent/protocol.h"
#include "base/registers.h"

namespace culprit::agent {

/// DR6's bits (Intel SDM vol. 3, 18.2.3): one per debug address register, and "single step".
inline constexpr std::uint64_t kDr6Units = 0xf;
inline constexpr std::uint64_t kDr6Step = 1 << 14;

/// Registers as ptrace shows them; nothing if the task is gone.
std::optional<Registers> read_registers(pid_t tid);
/// The instruction pointer alone (cheaper).
std::optional<std::uint64_t> read_rip(pid_t tid);
std::optional<std::uint64_t> read_rax(pid_t tid);

std::optional<std::uint64_t> read_dr6(pid_t tid);
/// What rr is to see of it: the kernel keeps the bits of a stop until they are overwritten.
void set_dr6(pid_t tid, std::uint64_t value);
/// Sets the debug registers if DR7 does not hold `dr7` already. 0, or the errno of the failure.
int arm(pid_t tid, std::span<const wire::Unit> units, std::uint64_t dr7);
/// Clears DR7.
void disarm(pid_t tid);
/// DR7 for these units.
std::uint64_t dr7_of(std::span<const wire::Unit> units);

/// Copies memory of the task's address space as the program sees it: the breakpoint that rr may
/// have set in the code is hidden. Returns the number of bytes read, from the start.
std::size_t read_memory(pid_t tid, std::uint64_t address, std::span<std::byte> out);

/// Puts one byte into the task's memory, read-only pages included. The byte that was there before; nothing
/// if the address cannot be written.
std::optional<std::uint8_t> poke_byte(pid_t tid, std::uint64_t address, std::uint8_t byte);
/// Moves the instruction pointer of a stopped task.
bool set_rip(pid_t tid, std::uint64_t rip);
/// Makes the next instruction of a stopped task, whose flags are `rflags`, run past an execute unit
/// on it (RF, Intel SDM vol. 3, 18.3.1.1). The processor clears that when the instruction is done.
void resume_past_breakpoint(pid_t tid, std::uint64_t rflags);

/// The breakpoint that rr has in the tracee's code at the moment, as seen by the interposed
/// pwrite64.
struct RrBreakpoint {
  std::uint64_t address = 0;
  std::uint8_t original = 0;  ///< first byte under it
  bool on_syscall = false;    ///< it stands on a system call instruction
  bool set = false;
};
const RrBreakpoint& rr_breakpoint();

}  // namespace culprit::agent
