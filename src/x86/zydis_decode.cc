#include "x86/zydis_decode.h"

namespace culprit::x86 {
namespace {

const ZydisDecoder& decoder() {
  static const ZydisDecoder instance = [] {
    ZydisDecoder d;
    ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return d;
  }();
  return instance;
}

std::size_t clipped(std::span<const std::byte> bytes) {
  return bytes.size() < kMaxInstructionLength ? bytes.size() : kMaxInstructionLength;
}

RegisterBytes make(RegisterClass cls, int number, unsigned offset, unsigned size) {
  return {cls, static_cast<std::uint8_t>(number), static_cast<std::uint8_t>(offset),
          static_cast<std::uint8_t>(size)};
}

}  // namespace

bool zydis_decode(std::span<const std::byte> bytes, ZydisView& view) {
  return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder(), bytes.data(), clipped(bytes), &view.insn,
                                             view.operands.data()));
}

bool zydis_decode_brief(std::span<const std::byte> bytes, ZydisDecodedInstruction& insn) {
  return ZYAN_SUCCESS(
      ZydisDecoderDecodeInstruction(&decoder(), nullptr, bytes.data(), clipped(bytes), &insn));
}

bool is_x87(ZydisRegister reg) { return reg >= ZYDIS_REGISTER_ST0 && reg <= ZYDIS_REGISTER_ST7; }

std::optional<RegisterBytes> to_register_bytes(ZydisRegister reg) {
  if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BL)
    return make(RegisterClass::gpr, reg - ZYDIS_REGISTER_AL, 0, 1);
  if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
    return make(RegisterClass::gpr, reg - ZYDIS_REGISTER_AH, 1, 1);
  if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
    return make(RegisterClass::gpr, reg - ZYDIS_REGISTER_SPL + 4, 0, 1);
  if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_R15W)
    return make(RegisterClass::gpr, reg - ZYDIS_REGISTER_AX, 0, 2);
  if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_R15D)
    return make(RegisterClass::gpr, reg - ZYDIS_REGISTER_EAX, 0, 4);
  if (reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15)
    return make(RegisterClass::gpr, reg - ZYDIS_REGISTER_RAX, 0, 8);
  if (reg >= ZYDIS_REGISTER_MM0 && reg <= ZYDIS_REGISTER_MM7)
    return make(RegisterClass::mmx, reg - ZYDIS_REGISTER_MM0, 0, 8);
  if (reg >= ZYDIS_REGISTER_XMM0 && reg <= ZYDIS_REGISTER_XMM31)
    return make(RegisterClass::vector, reg - ZYDIS_REGISTER_XMM0, 0, 16);
  if (reg >= ZYDIS_REGISTER_YMM0 && reg <= ZYDIS_REGISTER_YMM31)
    return make(RegisterClass::vector, reg - ZYDIS_REGISTER_YMM0, 0, 32);
  if (reg >= ZYDIS_REGISTER_ZMM0 && reg <= ZYDIS_REGISTER_ZMM31)
    return make(RegisterClass::vector, reg - ZYDIS_REGISTER_ZMM0, 0, 64);
  if (reg >= ZYDIS_REGISTER_K0 && reg <= ZYDIS_REGISTER_K7)
    return make(RegisterClass::mask, reg - ZYDIS_REGISTER_K0, 0, 8);
  if (reg >= ZYDIS_REGISTER_FLAGS && reg <= ZYDIS_REGISTER_RFLAGS)
    return make(RegisterClass::flags, 0, 0, 8);
  if (reg == ZYDIS_REGISTER_FS) return make(RegisterClass::segment_base, 0, 0, 8);
  if (reg == ZYDIS_REGISTER_GS) return make(RegisterClass::segment_base, 1, 0, 8);
  if (reg >= ZYDIS_REGISTER_IP && reg <= ZYDIS_REGISTER_RIP) return std::nullopt;
  if (reg >= ZYDIS_REGISTER_ES && reg <= ZYDIS_REGISTER_DS) return std::nullopt;
  if (reg == ZYDIS_REGISTER_NONE || is_x87(reg)) return std::nullopt;
  return make(RegisterClass::other, 0, 0, 8);
}

bool is_read(const ZydisDecodedOperand& operand) {
  return (operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
}

bool is_written(const ZydisDecodedOperand& operand) {
  return (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
}

bool writes_flags(const ZydisView& view) {
  const ZydisAccessedFlags* flags = view.insn.cpu_flags;
  return flags != nullptr &&
         (flags->modified | flags->set_0 | flags->set_1 | flags->undefined) != 0;
}

bool is_memory_access(const ZydisView& view, const ZydisDecodedOperand& operand) {
  if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) return false;
  if (operand.mem.type != ZYDIS_MEMOP_TYPE_MEM && operand.mem.type != ZYDIS_MEMOP_TYPE_VSIB)
    return false;
  switch (view.insn.meta.category) {
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_WIDENOP:
    case ZYDIS_CATEGORY_PREFETCH:
    case ZYDIS_CATEGORY_PREFETCHWT1:
      return false;
    default:
      break;
  }
  switch (view.insn.mnemonic) {
    case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT:
    case ZYDIS_MNEMONIC_CLWB:
    case ZYDIS_MNEMONIC_CLDEMOTE:
    case ZYDIS_MNEMONIC_INVLPG:
      return false;
    default:
      return true;
  }
}

bool has_rep(const ZydisDecodedInstruction& insn) {
  if (insn.meta.category != ZYDIS_CATEGORY_STRINGOP &&
      insn.meta.category != ZYDIS_CATEGORY_IOSTRINGOP)
    return false;
  return (insn.attributes &
          (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) != 0;
}

Outline outline_of(const ZydisDecodedInstruction& insn, Address address) {
  Outline result;
  result.address = address;
  result.length = insn.length;
  const bool relative = insn.raw.imm[0].size != 0 && insn.raw.imm[0].is_relative != 0;
  if (relative) result.target = address + insn.length + insn.raw.imm[0].value.s;
  switch (insn.meta.category) {
    case ZYDIS_CATEGORY_COND_BR:
      result.flow = Flow::conditional;
      break;
    case ZYDIS_CATEGORY_UNCOND_BR:
      if (insn.mnemonic == ZYDIS_MNEMONIC_XABORT) break;
      result.flow = relative ? Flow::jump : Flow::indirect_jump;
      // Compilers reach a switch's table through a register, or an index into the table itself. A
      // jump through plain [rip+x] or [reg+x] is a tail call (PLT, GOT, virtual function).
      if (!relative) {
        const bool through_register = insn.raw.modrm.mod == 3;
        const bool indexed = insn.raw.modrm.rm == 4 && insn.raw.modrm.mod != 3 &&
                             (insn.raw.sib.index != 4 || insn.raw.rex.X != 0);
        result.table_jump = through_register || indexed;
      }
      break;
    case ZYDIS_CATEGORY_CALL:
      result.flow = relative ? Flow::call : Flow::indirect_call;
      break;
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_SYSRET:
      result.flow = Flow::ret;
      break;
    default:
      switch (insn.mnemonic) {
        case ZYDIS_MNEMONIC_HLT:
        case ZYDIS_MNEMONIC_UD0:
        case ZYDIS_MNEMONIC_UD1:
        case ZYDIS_MNEMONIC_UD2:
        case ZYDIS_MNEMONIC_INT3:
          result.flow = Flow::stop;
          break;
        case ZYDIS_MNEMONIC_XBEGIN:
          result.flow = Flow::conditional;
          break;
        default:
          result.target.reset();
          break;
      }
      break;
  }
  return result;
}

}  // namespace culprit::x86
