// One decoded x86-64 instruction: its length, what it reads and writes, where control goes next.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/registers.h"
#include "base/result.h"
#include "base/types.h"
#include "x86/places.h"

namespace culprit::x86 {

/// The longest instruction there is (Intel SDM vol. 2, 2.3.11).
inline constexpr std::size_t kMaxInstructionLength = 15;

/// What an instruction is for, as coarse as a report needs it.
enum class Category : std::uint8_t {
  move,        ///< moves bytes unchanged (mov, movzx, SIMD moves, xchg, cmov, bswap, ...)
  stack,       ///< push, pop, enter, leave
  string,      ///< movs, stos, lods, cmps, scas, with or without rep
  address,     ///< lea
  arithmetic,  ///< integer arithmetic, logic, shifts, compares
  atomic,      ///< lock-prefixed, and xchg with memory, cmpxchg, xadd
  simd,        ///< vector and floating-point computation
  jump,        ///< jmp, jcc, loop
  call,
  ret,
  system_call,  ///< syscall, sysenter, int 0x80
  other,
};

/// Where control goes after an instruction.
enum class Flow : std::uint8_t {
  fallthrough,
  jump,           ///< always to `target`
  conditional,    ///< to `target` or on to the next instruction
  call,           ///< to `target`, and later on to the next instruction
  indirect_jump,  ///< target in a register or memory
  indirect_call,
  ret,
  stop,  ///< hlt, ud2, int3: does not go on to the next instruction
};

/// What decode() finds out without register values. A plain value: copies are independent.
struct Instruction {
  Address address;
  std::uint8_t length = 0;
  std::array<std::byte, kMaxInstructionLength> bytes{};  ///< the first `length` are the code
  std::uint16_t mnemonic = 0;                            ///< a ZydisMnemonic
  Category category = Category::other;
  Flow flow = Flow::fallthrough;
  std::optional<Address> target;      ///< direct jumps and calls
  bool repeated = false;              ///< a string instruction with a rep prefix
  bool locked = false;                ///< runs atomically (lock prefix, or xchg with memory)
  std::vector<MemOperand> memory;     ///< explicit first, then implicit. lea and nop have none
  std::vector<RegisterBytes> reads;   ///< address registers included, without duplicates
  std::vector<RegisterBytes> writes;  ///< 32-bit results write all 8 bytes (zero-extension)

  Address end() const { return address + length; }
  bool reads_memory() const;
  bool writes_memory() const;
};

/// Decodes the instruction that starts at bytes[0] and lies at `address`. Never reads past the
/// span. Error: bad_input if the bytes are no instruction of 64-bit mode or end too early.
Result<Instruction> decode(std::span<const std::byte> bytes, Address address);

/// The same, with the bytes from `code`. Also bad_input if nothing can be read at `address`.
Result<Instruction> decode_at(const MemoryReader& code, Address address);

/// Length and control flow only: enough to walk over code, and much cheaper than decode().
struct Outline {
  Address address;
  std::uint8_t length = 0;
  Flow flow = Flow::fallthrough;
  bool table_jump = false;        ///< an indirect jump that may go through a jump table
  std::optional<Address> target;  ///< direct jumps and calls
};
Result<Outline> outline(std::span<const std::byte> bytes, Address address);

/// What an instruction does to bits, where it does only that.
enum class BitOperation : std::uint8_t { none, and_, or_, xor_, shift };
/// BMI's forms included; rotations count as shifts.
BitOperation bit_operation(const Instruction& instruction);

/// The instruction in Intel syntax ("mov qword ptr [r12-0x08], r13"). Numbers are hexadecimal.
std::string text(const Instruction& instruction);

}  // namespace culprit::x86
