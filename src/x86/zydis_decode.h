// Private to x86/: the decoder library's own view of an instruction.
#pragma once

#include <Zydis/Zydis.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "x86/instruction.h"

namespace culprit::x86 {

/// An instruction as Zydis gives it, with all operands (implicit ones after the visible ones).
struct ZydisView {
  ZydisDecodedInstruction insn;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;

  std::span<const ZydisDecodedOperand> all() const { return {operands.data(), insn.operand_count}; }
};

/// False if the bytes are no instruction.
bool zydis_decode(std::span<const std::byte> bytes, ZydisView& view);
/// The same without operands.
bool zydis_decode_brief(std::span<const std::byte> bytes, ZydisDecodedInstruction& insn);

/// The register bytes that a Zydis register stands for; nothing for rip, for selectors that have no
/// effect in 64-bit mode, and for x87 stack registers (see is_x87()).
std::optional<RegisterBytes> to_register_bytes(ZydisRegister reg);

/// st0..st7: their place in the register file depends on a state that nothing here follows.
bool is_x87(ZydisRegister reg);

/// True if the operand's value is read or written (an address-only operand is neither).
bool is_read(const ZydisDecodedOperand& operand);
bool is_written(const ZydisDecodedOperand& operand);
/// True if the status or direction flags change, also where no operand says so (cmc).
bool writes_flags(const ZydisView& view);
/// True if this memory operand is an access that counts (lea, nop, prefetch, clflush have none).
bool is_memory_access(const ZydisView& view, const ZydisDecodedOperand& operand);

/// True for a string instruction with an effective rep, repe or repne prefix.
bool has_rep(const ZydisDecodedInstruction& insn);

/// Index into Instruction::memory for each operand, -1 for those that are no memory access.
std::array<std::int8_t, ZYDIS_MAX_OPERAND_COUNT> memory_indexes(const ZydisView& view);

/// What decode() returns for this view.
Instruction to_instruction(const ZydisView& view, std::span<const std::byte> bytes,
                           Address address);

/// Control flow of a decoded instruction that lies at `address`.
Outline outline_of(const ZydisDecodedInstruction& insn, Address address);

}  // namespace culprit::x86
