#include "x86/instruction.h"

#include <algorithm>

#include "x86/zydis_decode.h"

namespace culprit::x86 {
namespace {

// The bytes that an XSAVE instruction may touch for the x87, SSE and AVX components: legacy area
// 512, header 64, upper halves of ymm 256 (Intel SDM vol. 1, 13.4). Larger components (AVX-512,
// AMX) depend on XCR0, which is not known here.
constexpr std::uint32_t kXsaveSize = 832;

bool is_xsave_area(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64:
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
      return true;
    default:
      return false;
  }
}

void add_unique(std::vector<RegisterBytes>& list, const RegisterBytes& r) {
  if (std::find(list.begin(), list.end(), r) == list.end()) list.push_back(r);
}

void add_x87(std::vector<RegisterBytes>& list) {
  for (std::uint8_t n = 0; n < 8; ++n) add_unique(list, {RegisterClass::mmx, n, 0, 8});
}

// How far the instruction moves rsp before it uses the implicit stack operand.
std::int64_t stack_bias(const ZydisView& view, const ZydisDecodedOperand& operand) {
  const bool implicit = operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
  const std::int64_t size = operand.size / 8;
  switch (view.insn.meta.category) {
    case ZYDIS_CATEGORY_PUSH:
    case ZYDIS_CATEGORY_CALL:
      return implicit ? -size : 0;
    case ZYDIS_CATEGORY_POP:
      // pop [rsp+x]: the address is computed after rsp went up (Intel SDM vol. 2, POP).
      return !implicit && operand.mem.base == ZYDIS_REGISTER_RSP ? size : 0;
    default:
      return view.insn.mnemonic == ZYDIS_MNEMONIC_ENTER ? -size : 0;
  }
}

std::optional<Gpr> to_gpr(ZydisRegister reg) {
  const auto r = to_register_bytes(reg);
  if (!r || r->cls != RegisterClass::gpr) return std::nullopt;
  return static_cast<Gpr>(r->number);
}

bool is_bit_string(const ZydisView& view) {
  switch (view.insn.mnemonic) {
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC:
      return view.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
    default:
      return false;
  }
}

bool has_conditional_memory(const ZydisView& view) {
  switch (view.insn.mnemonic) {
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
    case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VPMASKMOVD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ:
      return true;
    default:
      break;
  }
  for (const auto& operand : view.all()) {
    if (operand.encoding == ZYDIS_OPERAND_ENCODING_MASK && operand.reg.value != ZYDIS_REGISTER_K0)
      return true;
  }
  return false;
}

MemOperand to_mem_operand(const ZydisView& view, const ZydisDecodedOperand& operand,
                          Address address) {
  const auto& mem = operand.mem;
  MemOperand result;
  result.disp = mem.disp.has_displacement ? mem.disp.value : 0;
  result.disp += stack_bias(view, operand);
  if (mem.base == ZYDIS_REGISTER_RIP || mem.base == ZYDIS_REGISTER_EIP) {
    result.rip_relative = true;
    result.disp += static_cast<std::int64_t>(address.value + view.insn.length);
  } else {
    result.base = to_gpr(mem.base);
  }
  if (is_bit_string(view)) result.bit_offset = to_register_bytes(view.operands[1].reg.value);
  if (mem.type == ZYDIS_MEMOP_TYPE_VSIB) {
    result.no_single_address = true;
  } else if (mem.index != ZYDIS_REGISTER_NONE) {
    result.index = to_gpr(mem.index);
    result.scale = mem.scale == 0 ? std::uint8_t{1} : mem.scale;
  }
  if (view.insn.mnemonic == ZYDIS_MNEMONIC_XLAT) {
    result.index = Gpr::rax;
    result.index_size = 1;
  }
  if (mem.segment == ZYDIS_REGISTER_FS) result.segment = Segment::fs;
  if (mem.segment == ZYDIS_REGISTER_GS) result.segment = Segment::gs;
  // The stack operand of push, call, ... keeps a 64-bit address whatever the prefix.
  const bool stack_operand =
      operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN && mem.segment == ZYDIS_REGISTER_SS;
  if (view.insn.address_width == 32 && !stack_operand) result.address_size = 4;
  result.repeated = has_rep(view.insn);
  result.conditional = has_conditional_memory(view);
  result.read = is_read(operand);
  result.written = is_written(operand);
  result.size = operand.size / 8U;
  if (is_xsave_area(view.insn.mnemonic)) result.size = kXsaveSize;
  return result;
}

Category category_of(const ZydisView& view, const Instruction& instruction) {
  if (instruction.locked) return Category::atomic;
  switch (view.insn.meta.category) {
    case ZYDIS_CATEGORY_DATAXFER:
    case ZYDIS_CATEGORY_CMOV:
    case ZYDIS_CATEGORY_MOVDIR:
    case ZYDIS_CATEGORY_BROADCAST:
      return Category::move;
    case ZYDIS_CATEGORY_PUSH:
    case ZYDIS_CATEGORY_POP:
      return Category::stack;
    case ZYDIS_CATEGORY_STRINGOP:
    case ZYDIS_CATEGORY_IOSTRINGOP:
      return Category::string;
    case ZYDIS_CATEGORY_SEMAPHORE:
      return Category::atomic;
    case ZYDIS_CATEGORY_ADOX_ADCX:
    case ZYDIS_CATEGORY_BINARY:
    case ZYDIS_CATEGORY_BITBYTE:
    case ZYDIS_CATEGORY_BMI1:
    case ZYDIS_CATEGORY_BMI2:
    case ZYDIS_CATEGORY_CONVERT:
    case ZYDIS_CATEGORY_FLAGOP:
    case ZYDIS_CATEGORY_LOGICAL:
    case ZYDIS_CATEGORY_LZCNT:
    case ZYDIS_CATEGORY_ROTATE:
    case ZYDIS_CATEGORY_SETCC:
    case ZYDIS_CATEGORY_SHIFT:
    case ZYDIS_CATEGORY_TBM:
      return Category::arithmetic;
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_UNCOND_BR:
      return Category::jump;
    case ZYDIS_CATEGORY_CALL:
      return Category::call;
    case ZYDIS_CATEGORY_RET:
      return Category::ret;
    case ZYDIS_CATEGORY_SYSCALL:
      return Category::system_call;
    default:
      break;
  }
  switch (view.insn.mnemonic) {
    case ZYDIS_MNEMONIC_LEA:
      return Category::address;
    case ZYDIS_MNEMONIC_ENTER:
    case ZYDIS_MNEMONIC_LEAVE:
      return Category::stack;
    case ZYDIS_MNEMONIC_BSWAP:
      return Category::move;
    case ZYDIS_MNEMONIC_INT:
      return Category::system_call;
    default:
      break;
  }
  for (const auto& operand : view.all()) {
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
    const auto r = to_register_bytes(operand.reg.value);
    if (r && (r->cls == RegisterClass::vector || r->cls == RegisterClass::mmx))
      return Category::simd;
  }
  return Category::other;
}

void add_register_operand(const ZydisDecodedOperand& operand, Instruction& result) {
  if (is_x87(operand.reg.value)) {
    // Any write of the x87 stack may be to any physical register.
    if (is_read(operand)) add_x87(result.reads);
    if (is_written(operand)) add_x87(result.writes);
    return;
  }
  const auto r = to_register_bytes(operand.reg.value);
  if (!r) return;
  if (is_read(operand)) add_unique(result.reads, *r);
  if (!is_written(operand)) return;
  RegisterBytes written = *r;
  // Intel SDM vol. 1, 3.4.1.1: 32-bit results are zero-extended.
  if (written.cls == RegisterClass::gpr && written.size == 4) written.size = 8;
  add_unique(result.writes, written);
}

}  // namespace

std::array<std::int8_t, ZYDIS_MAX_OPERAND_COUNT> memory_indexes(const ZydisView& view) {
  std::array<std::int8_t, ZYDIS_MAX_OPERAND_COUNT> result{};
  result.fill(-1);
  std::int8_t next = 0;
  for (std::size_t i = 0; i < view.insn.operand_count; ++i) {
    if (is_memory_access(view, view.operands[i])) result[i] = next++;
  }
  return result;
}

Instruction to_instruction(const ZydisView& view, std::span<const std::byte> bytes,
                           Address address) {
  Instruction result;
  result.address = address;
  result.length = view.insn.length;
  std::copy_n(bytes.begin(), std::min<std::size_t>(result.length, bytes.size()),
              result.bytes.begin());
  result.mnemonic = static_cast<std::uint16_t>(view.insn.mnemonic);
  const Outline outline = outline_of(view.insn, address);
  result.flow = outline.flow;
  result.target = outline.target;
  result.repeated = has_rep(view.insn);
  result.locked = (view.insn.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0;
  for (const auto& operand : view.all()) {
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
      add_register_operand(operand, result);
    } else if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
      // The address registers are read even where memory is not (lea).
      if (operand.mem.base != ZYDIS_REGISTER_NONE) {
        if (const auto r = to_register_bytes(operand.mem.base)) add_unique(result.reads, *r);
      }
      if (operand.mem.index != ZYDIS_REGISTER_NONE) {
        if (const auto r = to_register_bytes(operand.mem.index)) add_unique(result.reads, *r);
      }
      if (is_memory_access(view, operand))
        result.memory.push_back(to_mem_operand(view, operand, address));
    }
  }
  if (view.insn.meta.category == ZYDIS_CATEGORY_STRINGOP) {
    // Zydis 4.0 leaves some of the stepped registers out (rdi of scas, rcx of repeated compares).
    for (const MemOperand& m : result.memory) {
      if (m.base) add_unique(result.writes, whole(*m.base));
    }
    if (result.repeated) {
      add_unique(result.reads, whole(Gpr::rcx));
      add_unique(result.writes, whole(Gpr::rcx));
    }
  }
  if (writes_flags(view)) add_unique(result.writes, {RegisterClass::flags, 0, 0, 8});
  const bool exchanges_memory = view.insn.mnemonic == ZYDIS_MNEMONIC_XCHG && !result.memory.empty();
  result.locked = result.locked || exchanges_memory;
  result.category = category_of(view, result);
  return result;
}

bool Instruction::reads_memory() const {
  return std::any_of(memory.begin(), memory.end(), [](const auto& m) { return m.read; });
}

bool Instruction::writes_memory() const {
  return std::any_of(memory.begin(), memory.end(), [](const auto& m) { return m.written; });
}

Result<Instruction> decode(std::span<const std::byte> bytes, Address address) {
  ZydisView view;
  if (bytes.empty() || !zydis_decode(bytes, view))
    return Error{ErrorCode::bad_input, "no x86-64 instruction at " + to_hex(address)};
  return to_instruction(view, bytes, address);
}

Result<Instruction> decode_at(const MemoryReader& code, Address address) {
  std::array<std::byte, kMaxInstructionLength> buffer;
  const std::size_t size = std::min(code.read(address, buffer), buffer.size());
  if (size == 0) return Error{ErrorCode::bad_input, "no code can be read at " + to_hex(address)};
  return decode(std::span(buffer).first(size), address);
}

Result<Outline> outline(std::span<const std::byte> bytes, Address address) {
  ZydisDecodedInstruction insn;
  if (bytes.empty() || !zydis_decode_brief(bytes, insn))
    return Error{ErrorCode::bad_input, "no x86-64 instruction at " + to_hex(address)};
  return outline_of(insn, address);
}

BitOperation bit_operation(const Instruction& instruction) {
  switch (static_cast<ZydisMnemonic>(instruction.mnemonic)) {
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_ANDN:
    case ZYDIS_MNEMONIC_BZHI:
    case ZYDIS_MNEMONIC_BEXTR:
    case ZYDIS_MNEMONIC_BTR:
      return BitOperation::and_;
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_BTS:
      return BitOperation::or_;
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_BTC:
    case ZYDIS_MNEMONIC_NOT:
      return BitOperation::xor_;
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_SHLX:
    case ZYDIS_MNEMONIC_SHRX:
    case ZYDIS_MNEMONIC_SARX:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RORX:
      return BitOperation::shift;
    default:
      return BitOperation::none;
  }
}

std::string text(const Instruction& instruction) {
  ZydisView view;
  if (!zydis_decode(std::span(instruction.bytes)
                        .first(std::min<std::size_t>(instruction.length, kMaxInstructionLength)),
                    view))
    return "(bad)";
  static const ZydisFormatter formatter = [] {
    ZydisFormatter f;
    ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
    ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_FORCE_SIZE, ZYAN_TRUE);
    ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
    ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE,
                              ZYDIS_PADDING_DISABLED);
    return f;
  }();
  std::array<char, 256> buffer{};
  if (ZYAN_FAILED(ZydisFormatterFormatInstruction(
          &formatter, &view.insn, view.operands.data(), view.insn.operand_count_visible,
          buffer.data(), buffer.size(), instruction.address.value, nullptr)))
    return "(bad)";
  return buffer.data();
}

}  // namespace culprit::x86
