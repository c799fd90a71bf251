#include "x86/data_flow.h"

#include <algorithm>
#include <span>

#include "x86/shuffles.h"
#include "x86/zydis_decode.h"

namespace culprit::x86 {
namespace {

constexpr RegisterBytes kFlags{RegisterClass::flags, 0, 0, 8};

FlowPlace part(const FlowPlace& place, std::uint32_t offset, std::uint32_t size) {
  if (const auto* r = std::get_if<RegisterBytes>(&place)) {
    return RegisterBytes{r->cls, r->number, static_cast<std::uint8_t>(r->offset + offset),
                         static_cast<std::uint8_t>(size)};
  }
  MemoryBytes m = std::get<MemoryBytes>(place);
  m.offset += offset;
  m.size = size;
  return m;
}

std::uint64_t low_bytes(std::uint64_t value, std::uint32_t size) {
  return size >= 8 ? value : value & ((std::uint64_t{1} << (8U * size)) - 1);
}

// The condition codes of jcc, setcc and cmovcc (Intel SDM vol. 1, appendix B).
bool condition_holds(unsigned code, std::uint64_t flags) {
  const bool cf = (flags & ZYDIS_CPUFLAG_CF) != 0;
  const bool pf = (flags & ZYDIS_CPUFLAG_PF) != 0;
  const bool zf = (flags & ZYDIS_CPUFLAG_ZF) != 0;
  const bool sf = (flags & ZYDIS_CPUFLAG_SF) != 0;
  const bool of = (flags & ZYDIS_CPUFLAG_OF) != 0;
  bool result = false;
  switch ((code >> 1) & 7U) {
    case 0:
      result = of;
      break;
    case 1:
      result = cf;
      break;
    case 2:
      result = zf;
      break;
    case 3:
      result = cf || zf;
      break;
    case 4:
      result = sf;
      break;
    case 5:
      result = pf;
      break;
    case 6:
      result = sf != of;
      break;
    default:
      result = zf || sf != of;
      break;
  }
  return (code & 1U) != 0 ? !result : result;
}

// Instructions whose results follow from their listed operands alone.
bool is_computation(const ZydisDecodedInstruction& insn) {
  switch (insn.meta.category) {
    case ZYDIS_CATEGORY_ADOX_ADCX:
    case ZYDIS_CATEGORY_AES:
    case ZYDIS_CATEGORY_AMD3DNOW:
    case ZYDIS_CATEGORY_AVX:
    case ZYDIS_CATEGORY_AVX2:
    case ZYDIS_CATEGORY_AVX512:
    case ZYDIS_CATEGORY_AVX512_BITALG:
    case ZYDIS_CATEGORY_AVX512_VBMI:
    case ZYDIS_CATEGORY_BINARY:
    case ZYDIS_CATEGORY_BITBYTE:
    case ZYDIS_CATEGORY_BLEND:
    case ZYDIS_CATEGORY_BMI1:
    case ZYDIS_CATEGORY_BMI2:
    case ZYDIS_CATEGORY_BROADCAST:
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_CONVERT:
    case ZYDIS_CATEGORY_DATAXFER:
    case ZYDIS_CATEGORY_DECIMAL:
    case ZYDIS_CATEGORY_FLAGOP:
    case ZYDIS_CATEGORY_FMA4:
    case ZYDIS_CATEGORY_GFNI:
    case ZYDIS_CATEGORY_IFMA:
    case ZYDIS_CATEGORY_KMASK:
    case ZYDIS_CATEGORY_LOGICAL:
    case ZYDIS_CATEGORY_LOGICAL_FP:
    case ZYDIS_CATEGORY_LZCNT:
    case ZYDIS_CATEGORY_MMX:
    case ZYDIS_CATEGORY_PCLMULQDQ:
    case ZYDIS_CATEGORY_PUSH:
    case ZYDIS_CATEGORY_POP:
    case ZYDIS_CATEGORY_ROTATE:
    case ZYDIS_CATEGORY_SETCC:
    case ZYDIS_CATEGORY_SHA:
    case ZYDIS_CATEGORY_SHIFT:
    case ZYDIS_CATEGORY_SSE:
    case ZYDIS_CATEGORY_STRINGOP:
    case ZYDIS_CATEGORY_STTNI:
    case ZYDIS_CATEGORY_TBM:
    case ZYDIS_CATEGORY_VAES:
    case ZYDIS_CATEGORY_VBMI2:
    case ZYDIS_CATEGORY_VFMA:
    case ZYDIS_CATEGORY_VPCLMULQDQ:
    case ZYDIS_CATEGORY_XOP:
      break;
    default:
      return false;
  }
  switch (insn.mnemonic) {
    // State areas: which bytes are written depends on processor state.
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
      return false;
    default:
      return true;
  }
}

bool is_plain_move(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MOVZX:
    case ZYDIS_MNEMONIC_MOVNTI:
    case ZYDIS_MNEMONIC_MOVDIRI:
    case ZYDIS_MNEMONIC_MOVDIR64B:
    case ZYDIS_MNEMONIC_MOVAPS:
    case ZYDIS_MNEMONIC_MOVAPD:
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVDQA:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_MOVNTDQ:
    case ZYDIS_MNEMONIC_MOVNTDQA:
    case ZYDIS_MNEMONIC_MOVNTPS:
    case ZYDIS_MNEMONIC_MOVNTPD:
    case ZYDIS_MNEMONIC_MOVNTQ:
    case ZYDIS_MNEMONIC_MOVNTSS:
    case ZYDIS_MNEMONIC_MOVNTSD:
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_MOVD:
    case ZYDIS_MNEMONIC_MOVQ:
    case ZYDIS_MNEMONIC_MOVQ2DQ:
    case ZYDIS_MNEMONIC_MOVDQ2Q:
    case ZYDIS_MNEMONIC_VMOVAPS:
    case ZYDIS_MNEMONIC_VMOVAPD:
    case ZYDIS_MNEMONIC_VMOVUPS:
    case ZYDIS_MNEMONIC_VMOVUPD:
    case ZYDIS_MNEMONIC_VMOVDQA:
    case ZYDIS_MNEMONIC_VMOVDQA32:
    case ZYDIS_MNEMONIC_VMOVDQA64:
    case ZYDIS_MNEMONIC_VMOVDQU:
    case ZYDIS_MNEMONIC_VMOVDQU8:
    case ZYDIS_MNEMONIC_VMOVDQU16:
    case ZYDIS_MNEMONIC_VMOVDQU32:
    case ZYDIS_MNEMONIC_VMOVDQU64:
    case ZYDIS_MNEMONIC_VMOVNTDQ:
    case ZYDIS_MNEMONIC_VMOVNTDQA:
    case ZYDIS_MNEMONIC_VMOVNTPS:
    case ZYDIS_MNEMONIC_VMOVNTPD:
    case ZYDIS_MNEMONIC_VLDDQU:
    case ZYDIS_MNEMONIC_VMOVD:
    case ZYDIS_MNEMONIC_VMOVQ:
    case ZYDIS_MNEMONIC_KMOVB:
    case ZYDIS_MNEMONIC_KMOVW:
    case ZYDIS_MNEMONIC_KMOVD:
    case ZYDIS_MNEMONIC_KMOVQ:
      return true;
    default:
      return false;
  }
}

// Results are zero (or all ones) where both inputs are the same register.
enum class SelfIdiom { none, zero, ones };

SelfIdiom self_idiom(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_PXOR:
    case ZYDIS_MNEMONIC_XORPS:
    case ZYDIS_MNEMONIC_XORPD:
    case ZYDIS_MNEMONIC_VPXOR:
    case ZYDIS_MNEMONIC_VPXORD:
    case ZYDIS_MNEMONIC_VPXORQ:
    case ZYDIS_MNEMONIC_VXORPS:
    case ZYDIS_MNEMONIC_VXORPD:
    case ZYDIS_MNEMONIC_PANDN:
    case ZYDIS_MNEMONIC_VPANDN:
    case ZYDIS_MNEMONIC_ANDNPS:
    case ZYDIS_MNEMONIC_ANDNPD:
    case ZYDIS_MNEMONIC_VANDNPS:
    case ZYDIS_MNEMONIC_VANDNPD:
    case ZYDIS_MNEMONIC_PSUBB:
    case ZYDIS_MNEMONIC_PSUBW:
    case ZYDIS_MNEMONIC_PSUBD:
    case ZYDIS_MNEMONIC_PSUBQ:
    case ZYDIS_MNEMONIC_VPSUBB:
    case ZYDIS_MNEMONIC_VPSUBW:
    case ZYDIS_MNEMONIC_VPSUBD:
    case ZYDIS_MNEMONIC_VPSUBQ:
    case ZYDIS_MNEMONIC_KXORB:
    case ZYDIS_MNEMONIC_KXORW:
    case ZYDIS_MNEMONIC_KXORD:
    case ZYDIS_MNEMONIC_KXORQ:
      return SelfIdiom::zero;
    case ZYDIS_MNEMONIC_PCMPEQB:
    case ZYDIS_MNEMONIC_PCMPEQW:
    case ZYDIS_MNEMONIC_PCMPEQD:
    case ZYDIS_MNEMONIC_PCMPEQQ:
    case ZYDIS_MNEMONIC_VPCMPEQB:
    case ZYDIS_MNEMONIC_VPCMPEQW:
    case ZYDIS_MNEMONIC_VPCMPEQD:
    case ZYDIS_MNEMONIC_VPCMPEQQ:
      return SelfIdiom::ones;
    default:
      return SelfIdiom::none;
  }
}

// Builds the edges of one instruction.
class Builder {
 public:
  Builder(const Instruction& instruction, const ZydisView& view, const Registers* before,
          const Registers* after)
      : instruction_(instruction),
        view_(view),
        before_(before),
        after_(after),
        memory_(memory_indexes(view)) {
    for (std::size_t i = 0; i < view.insn.operand_count; ++i) {
      const auto& operand = view.operands[i];
      if (operand.encoding == ZYDIS_OPERAND_ENCODING_MASK) {
        masked_ = masked_ || operand.reg.value != ZYDIS_REGISTER_K0;
      } else if (i < view.insn.operand_count_visible) {
        visible_.push_back(static_cast<std::uint8_t>(i));
      }
    }
  }

  DataFlow build() {
    if (!special()) fallback();
    // What the special case did not say about flags is a computation on the inputs.
    add_flags();
    join_overlaps();
    return std::move(flow_);
  }

 private:
  const ZydisDecodedOperand& operand(std::size_t i) const { return view_.operands[i]; }
  std::uint32_t bytes(std::size_t i) const {
    if (memory_[i] >= 0) return instruction_.memory[static_cast<std::size_t>(memory_[i])].size;
    return operand(i).size / 8U;
  }
  bool is_register(std::size_t i) const { return operand(i).type == ZYDIS_OPERAND_TYPE_REGISTER; }
  bool is_immediate(std::size_t i) const { return operand(i).type == ZYDIS_OPERAND_TYPE_IMMEDIATE; }
  std::uint64_t immediate(std::size_t i) const { return operand(i).imm.value.u; }

  std::optional<FlowPlace> place(std::size_t i) const {
    if (memory_[i] >= 0) {
      const auto index = static_cast<std::uint8_t>(memory_[i]);
      return MemoryBytes{index, 0, instruction_.memory[index].size};
    }
    if (!is_register(i)) return std::nullopt;
    const auto r = to_register_bytes(operand(i).reg.value);
    if (!r) return std::nullopt;
    return *r;
  }

  // Bytes [offset, offset + size) of operand i, which may reach beyond the operand's own width.
  std::optional<FlowPlace> slice(std::size_t i, std::uint32_t offset, std::uint32_t size) const {
    const auto p = place(i);
    if (!p) return std::nullopt;
    return part(*p, offset, size);
  }

  void edge(FlowPlace destination, FlowKind kind, std::vector<FlowPlace> sources = {},
            std::optional<std::uint64_t> constant = std::nullopt) {
    if (kind == FlowKind::unknown) flow_.modelled = false;
    flow_.edges.push_back({destination, kind, std::move(sources), constant, 0});
  }
  void copy(const FlowPlace& destination, const FlowPlace& source) {
    if (destination == source) return;  // keeps its value
    edge(destination, FlowKind::copy, {source});
  }

  // Bytes of the destination register above its low `n` ones that are zeroed: 32-bit results (SDM
  // vol. 1, 3.4.1.1), and everything above in VEX/EVEX/XOP encodings (SDM vol. 2, 2.3.10.1).
  void extend(std::size_t i, std::uint32_t n) {
    if (!is_register(i)) return;
    const auto r = to_register_bytes(operand(i).reg.value);
    if (!r || r->offset != 0) return;
    std::uint32_t width = n;
    if (r->cls == RegisterClass::gpr) width = r->size == 4 ? 8 : n;
    if (r->cls == RegisterClass::mask) width = 8;
    if (r->cls == RegisterClass::vector && view_.insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
      width = 64;
    if (width > n) {
      edge(RegisterBytes{r->cls, r->number, static_cast<std::uint8_t>(n),
                         static_cast<std::uint8_t>(width - n)},
           FlowKind::zero);
    }
  }

  // destination operand = source operand, cut or zero-extended to the destination's size.
  bool move(std::size_t to, std::size_t from) {
    const std::uint32_t size = bytes(to);
    if (is_immediate(from)) {
      const auto d = place(to);
      if (!d || size == 0) return false;
      edge(*d, FlowKind::immediate, {}, low_bytes(immediate(from), size));
      extend(to, size);
      return true;
    }
    const std::uint32_t n = std::min(size, bytes(from));
    const auto d = slice(to, 0, n);
    const auto s = slice(from, 0, n);
    if (!d || !s || n == 0) return false;
    if (std::get_if<RegisterBytes>(&*d) != nullptr &&
        std::get<RegisterBytes>(*d).cls == RegisterClass::segment_base)
      return false;  // loads a selector
    if (std::get_if<RegisterBytes>(&*s) != nullptr &&
        std::get<RegisterBytes>(*s).cls == RegisterClass::segment_base)
      return false;
    if (std::get_if<RegisterBytes>(&*d) != nullptr &&
        std::get<RegisterBytes>(*d).cls == RegisterClass::other)
      return false;
    copy(*d, *s);
    if (size > n) edge(*slice(to, n, size - n), FlowKind::zero);
    extend(to, size);
    return true;
  }

  // All values that the instruction reads, address registers excepted.
  std::vector<FlowPlace> inputs(bool implicit_stack = false) const {
    std::vector<FlowPlace> result;
    const auto add = [&result](const FlowPlace& p) {
      if (std::find(result.begin(), result.end(), p) == result.end()) result.push_back(p);
    };
    for (std::size_t i = 0; i < view_.insn.operand_count; ++i) {
      const auto& op = operand(i);
      const bool conditional_write =
          (op.actions & ZYDIS_OPERAND_ACTION_CONDWRITE) != 0 && is_register(i);
      if (!is_read(op) && !conditional_write) continue;
      if (is_register(i) && is_x87(op.reg.value)) {
        for (std::uint8_t n = 0; n < 8; ++n) add(RegisterBytes{RegisterClass::mmx, n, 0, 8});
        continue;
      }
      const auto p = place(i);
      if (!p) continue;
      if (*p == FlowPlace{kFlags} && !is_read(op)) continue;
      if (!implicit_stack && *p == FlowPlace{whole(Gpr::rsp)} &&
          op.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
        continue;
      add(*p);
    }
    return result;
  }

  std::optional<std::uint64_t> immediate_operand() const {
    for (std::size_t i = 0; i < view_.insn.operand_count_visible; ++i) {
      if (is_immediate(i) && !operand(i).imm.is_relative) return immediate(i);
    }
    return std::nullopt;
  }

  // Everything written gets one edge from all inputs.
  void fallback() {
    const FlowKind kind = is_computation(view_.insn) ? FlowKind::arithmetic : FlowKind::unknown;
    const auto sources = inputs();
    const auto constant = immediate_operand();
    bool x87_done = false;
    for (std::size_t i = 0; i < view_.insn.operand_count; ++i) {
      const auto& op = operand(i);
      if (!is_written(op)) continue;
      if (is_register(i) && is_x87(op.reg.value)) {
        if (x87_done) continue;
        x87_done = true;
        for (std::uint8_t n = 0; n < 8; ++n)
          edge(RegisterBytes{RegisterClass::mmx, n, 0, 8}, FlowKind::unknown, sources);
        continue;
      }
      const auto p = place(i);
      if (!p || *p == FlowPlace{kFlags} || written_already(*p)) continue;
      auto from = sources;
      // Bytes that the mask leaves out keep their value.
      if (memory_[i] >= 0 && instruction_.memory[static_cast<std::size_t>(memory_[i])].conditional)
        from.push_back(*p);
      edge(*p, kind, std::move(from), constant);
      extend(i, bytes(i));
    }
  }

  bool written_already(const FlowPlace& p) const {
    return std::any_of(flow_.edges.begin(), flow_.edges.end(),
                       [&p](const DataFlowEdge& e) { return e.destination == p; });
  }

  void add_flags() {
    const auto& writes = instruction_.writes;
    if (std::find(writes.begin(), writes.end(), kFlags) == writes.end()) return;
    if (written_already(kFlags)) return;
    edge(kFlags, is_computation(view_.insn) ? FlowKind::arithmetic : FlowKind::unknown, inputs());
  }

  // Rare encodings write one register twice (mulx with equal results, Knights Corner's masks): what
  // remains is not modelled.
  void join_overlaps() {
    auto& edges = flow_.edges;
    for (std::size_t i = 0; i < edges.size(); ++i) {
      for (std::size_t k = i + 1; k < edges.size();) {
        auto* r = std::get_if<RegisterBytes>(&edges[i].destination);
        const auto* s = std::get_if<RegisterBytes>(&edges[k].destination);
        if (r == nullptr || s == nullptr || !r->overlaps(*s)) {
          ++k;
          continue;
        }
        const int start = std::min(r->offset, s->offset);
        const int end = std::max(r->offset + r->size, s->offset + s->size);
        r->offset = static_cast<std::uint8_t>(start);
        r->size = static_cast<std::uint8_t>(end - start);
        edges[i].kind = FlowKind::unknown;
        edges[i].sources = inputs();
        edges[i].constant.reset();
        edges[i].linear_scale = 0;
        flow_.modelled = false;
        edges.erase(edges.begin() + static_cast<std::ptrdiff_t>(k));
        k = i + 1;
      }
    }
  }

  void rsp_step(std::int64_t delta) { linear(whole(Gpr::rsp), whole(Gpr::rsp), delta); }

  // Pointer steps by a constant.
  void linear(const RegisterBytes& to, const RegisterBytes& from, std::int64_t delta,
              FlowKind kind = FlowKind::address) {
    edge(to, kind, {from}, static_cast<std::uint64_t>(delta));
    flow_.edges.back().linear_scale = 1;
  }

  bool special() {
    switch (view_.insn.meta.category) {
      case ZYDIS_CATEGORY_STRINGOP:
        return string_operation();
      case ZYDIS_CATEGORY_PUSH:
        return push();
      case ZYDIS_CATEGORY_POP:
        return pop();
      case ZYDIS_CATEGORY_CALL:
        return call();
      case ZYDIS_CATEGORY_RET:
        return ret();
      case ZYDIS_CATEGORY_CMOV:
        return conditional_move();
      case ZYDIS_CATEGORY_SYSCALL:
        return system_call();
      case ZYDIS_CATEGORY_INTERRUPT:
        return interrupt();
      case ZYDIS_CATEGORY_X87_ALU:
        return x87();
      case ZYDIS_CATEGORY_NOP:
      case ZYDIS_CATEGORY_WIDENOP:
      case ZYDIS_CATEGORY_PREFETCH:
      case ZYDIS_CATEGORY_UNCOND_BR:
        return true;
      default:
        break;
    }
    switch (view_.insn.mnemonic) {
      case ZYDIS_MNEMONIC_LEA:
        return lea();
      case ZYDIS_MNEMONIC_XCHG:
        return exchange();
      case ZYDIS_MNEMONIC_XADD:
        return exchange_add();
      case ZYDIS_MNEMONIC_CMPXCHG:
        return compare_exchange();
      case ZYDIS_MNEMONIC_CMPXCHG8B:
        return compare_exchange_pair(4);
      case ZYDIS_MNEMONIC_CMPXCHG16B:
        return compare_exchange_pair(8);
      case ZYDIS_MNEMONIC_LEAVE:
        return leave();
      case ZYDIS_MNEMONIC_ENTER:
        return enter();
      case ZYDIS_MNEMONIC_BSWAP:
        return reverse(0, 0);
      case ZYDIS_MNEMONIC_MOVBE:
        return reverse(0, 1);
      case ZYDIS_MNEMONIC_MOVSX:
      case ZYDIS_MNEMONIC_MOVSXD:
        return sign_extend(0, 1);
      case ZYDIS_MNEMONIC_CBW:
      case ZYDIS_MNEMONIC_CWDE:
      case ZYDIS_MNEMONIC_CDQE:
        return sign_extend(0, 1);
      case ZYDIS_MNEMONIC_AND:
      case ZYDIS_MNEMONIC_OR:
        if (same_register_operands()) {
          extend(0, bytes(0));
          return true;
        }
        return bitwise_immediate();
      case ZYDIS_MNEMONIC_XOR:
        if (idiom()) return true;
        return bitwise_immediate();
      case ZYDIS_MNEMONIC_ADD:
      case ZYDIS_MNEMONIC_SUB:
      case ZYDIS_MNEMONIC_INC:
      case ZYDIS_MNEMONIC_DEC:
        if (idiom()) return true;
        return linear_arithmetic();
      case ZYDIS_MNEMONIC_SHL:
      case ZYDIS_MNEMONIC_SHR:
      case ZYDIS_MNEMONIC_SAR:
      case ZYDIS_MNEMONIC_ROL:
      case ZYDIS_MNEMONIC_ROR:
        return whole_byte_shift();
      case ZYDIS_MNEMONIC_RDFSBASE:
        return segment_base(0, false);
      case ZYDIS_MNEMONIC_RDGSBASE:
        return segment_base(1, false);
      case ZYDIS_MNEMONIC_WRFSBASE:
        return segment_base(0, true);
      case ZYDIS_MNEMONIC_WRGSBASE:
        return segment_base(1, true);
      case ZYDIS_MNEMONIC_VZEROUPPER:
        return zero_vectors(16);
      case ZYDIS_MNEMONIC_VZEROALL:
        return zero_vectors(0);
      case ZYDIS_MNEMONIC_CLZERO:
        return false;
      case ZYDIS_MNEMONIC_FXRSTOR:
      case ZYDIS_MNEMONIC_FXRSTOR64:
      case ZYDIS_MNEMONIC_XRSTOR:
      case ZYDIS_MNEMONIC_XRSTOR64:
        return restore_state();
      default:
        break;
    }
    if (masked_ || visible_.empty()) return false;
    if (is_plain_move(view_.insn.mnemonic) && visible_.size() == 2) {
      if (view_.insn.mnemonic == ZYDIS_MNEMONIC_MOVDIR64B) return movdir64b();
      return move(visible_[0], visible_[1]);
    }
    if (idiom()) return true;
    ByteMap map;
    if (byte_map(view_, visible_, map)) return emit(visible_[0], map);
    return false;
  }

  // Emits runs of destination bytes that come from runs of source bytes.
  bool emit(std::size_t to, const ByteMap& map) {
    const auto self = place(to);
    if (!self) return false;
    std::size_t i = 0;
    std::vector<DataFlowEdge> edges;
    while (i < map.size) {
      const ByteSource first = map.bytes[i];
      std::size_t run = 1;
      while (i + run < map.size && continues(first, map.bytes[i + run], run)) ++run;
      const auto size = static_cast<std::uint32_t>(run);
      const FlowPlace destination = part(*self, static_cast<std::uint32_t>(i), size);
      if (first.operand == ByteSource::kZero) {
        edges.push_back({destination, FlowKind::zero, {}, {}, 0});
      } else {
        const auto source = slice(static_cast<std::size_t>(first.operand), first.byte, size);
        if (!source) return false;
        if (*source != destination)
          edges.push_back({destination, FlowKind::copy, {*source}, {}, 0});
      }
      i += run;
    }
    for (auto& e : edges) flow_.edges.push_back(std::move(e));
    extend(to, static_cast<std::uint32_t>(map.size));
    return true;
  }

  static bool continues(const ByteSource& first, const ByteSource& next, std::size_t run) {
    if (first.operand != next.operand) return false;
    return first.operand == ByteSource::kZero || next.byte == first.byte + run;
  }

  bool same_register_operands() const {
    return view_.insn.operand_count_visible == 2 && is_register(0) && is_register(1) &&
           operand(0).reg.value == operand(1).reg.value;
  }

  bool idiom() {
    const SelfIdiom kind = self_idiom(view_.insn.mnemonic);
    if (kind == SelfIdiom::none || masked_ || visible_.size() < 2) return false;
    const auto& a = operand(visible_[visible_.size() - 2]);
    const auto& b = operand(visible_[visible_.size() - 1]);
    if (a.type != ZYDIS_OPERAND_TYPE_REGISTER || b.type != ZYDIS_OPERAND_TYPE_REGISTER ||
        a.reg.value != b.reg.value)
      return false;
    const auto d = place(visible_[0]);
    if (!d || std::get_if<RegisterBytes>(&*d) == nullptr) return false;
    const std::uint32_t size = bytes(visible_[0]);
    if (kind == SelfIdiom::zero) {
      edge(*d, FlowKind::zero);
    } else {
      if (std::get<RegisterBytes>(*d).cls == RegisterClass::mask) return false;
      for (std::uint32_t at = 0; at < size; at += 8)
        edge(part(*d, at, std::min(8U, size - at)), FlowKind::immediate, {}, ~std::uint64_t{0});
    }
    extend(visible_[0], size);
    return true;
  }

  // and/or/xor with an immediate leave some bytes alone and set others to a constant.
  bool bitwise_immediate() {
    if (view_.insn.operand_count_visible != 2 || !is_immediate(1)) return false;
    const auto d = place(0);
    const std::uint32_t size = bytes(0);
    if (!d || size == 0 || size > 8) return false;
    enum class Effect { keep, zero, ones, compute };
    const std::uint64_t value = immediate(1);
    const auto effect = [&](std::uint32_t i) {
      const auto byte = static_cast<std::uint8_t>(value >> (8U * i));
      if (view_.insn.mnemonic == ZYDIS_MNEMONIC_AND) {
        if (byte == 0xff) return Effect::keep;
        return byte == 0 ? Effect::zero : Effect::compute;
      }
      if (byte == 0) return Effect::keep;
      return view_.insn.mnemonic == ZYDIS_MNEMONIC_OR && byte == 0xff ? Effect::ones
                                                                      : Effect::compute;
    };
    for (std::uint32_t i = 0; i < size;) {
      const Effect e = effect(i);
      std::uint32_t run = 1;
      while (i + run < size && effect(i + run) == e) ++run;
      const FlowPlace bytes_written = part(*d, i, run);
      const std::uint64_t constant = low_bytes(value >> (8U * i), run);
      if (e == Effect::zero) edge(bytes_written, FlowKind::zero);
      if (e == Effect::ones) edge(bytes_written, FlowKind::immediate, {}, constant);
      if (e == Effect::compute)
        edge(bytes_written, FlowKind::arithmetic, {bytes_written}, constant);
      i += run;
    }
    extend(0, size);
    return true;
  }

  // add/sub/inc/dec of 64-bit registers have an exact formula.
  bool linear_arithmetic() {
    if (!is_register(0) || bytes(0) != 8) return false;
    const auto d = place(0);
    if (!d || std::get<RegisterBytes>(*d).cls != RegisterClass::gpr) return false;
    const RegisterBytes to = std::get<RegisterBytes>(*d);
    switch (view_.insn.mnemonic) {
      case ZYDIS_MNEMONIC_INC:
        linear(to, to, 1, FlowKind::arithmetic);
        return true;
      case ZYDIS_MNEMONIC_DEC:
        linear(to, to, -1, FlowKind::arithmetic);
        return true;
      case ZYDIS_MNEMONIC_SUB:
        if (!is_immediate(1)) return false;
        linear(to, to, static_cast<std::int64_t>(std::uint64_t{0} - immediate(1)),
               FlowKind::arithmetic);
        return true;
      default:
        break;
    }
    if (is_immediate(1)) {
      linear(to, to, static_cast<std::int64_t>(immediate(1)), FlowKind::arithmetic);
      return true;
    }
    const auto s = place(1);
    if (!s || !is_register(1)) return false;
    edge(to, FlowKind::arithmetic, {to, *s});
    flow_.edges.back().linear_scale = 1;
    return true;
  }

  // Shifts and rotations by whole bytes only move bytes.
  bool whole_byte_shift() {
    const std::uint32_t size = bytes(0);
    if (view_.insn.operand_count_visible != 2 || !is_immediate(1) || size == 0 || size > 8)
      return false;
    const std::uint64_t count = immediate(1) & (size == 8 ? 63U : 31U);
    if (count == 0 || count % 8 != 0 || count >= 8U * size) return false;
    const auto shift = static_cast<std::uint32_t>(count / 8);
    const auto d = place(0);
    if (!d) return false;
    const std::uint32_t rest = size - shift;
    switch (view_.insn.mnemonic) {
      case ZYDIS_MNEMONIC_SHL:
        edge(part(*d, 0, shift), FlowKind::zero);
        copy(part(*d, shift, rest), part(*d, 0, rest));
        break;
      case ZYDIS_MNEMONIC_SHR:
        copy(part(*d, 0, rest), part(*d, shift, rest));
        edge(part(*d, rest, shift), FlowKind::zero);
        break;
      case ZYDIS_MNEMONIC_SAR:
        copy(part(*d, 0, rest), part(*d, shift, rest));
        edge(part(*d, rest, shift), FlowKind::arithmetic, {part(*d, size - 1, 1)});
        break;
      case ZYDIS_MNEMONIC_ROL:
        copy(part(*d, 0, shift), part(*d, rest, shift));
        copy(part(*d, shift, rest), part(*d, 0, rest));
        break;
      default:
        copy(part(*d, 0, rest), part(*d, shift, rest));
        copy(part(*d, rest, shift), part(*d, 0, shift));
        break;
    }
    extend(0, size);
    return true;
  }

  bool lea() {
    const auto d = place(0);
    const auto& mem = operand(1).mem;
    const std::uint32_t size = bytes(0);
    if (!d || size == 0) return false;
    std::uint64_t addend =
        static_cast<std::uint64_t>(mem.disp.has_displacement ? mem.disp.value : ZyanI64{0});
    const bool full = size == 8 && view_.insn.address_width == 64;
    if (mem.base == ZYDIS_REGISTER_RIP || mem.base == ZYDIS_REGISTER_EIP)
      addend += instruction_.end().value;
    std::vector<FlowPlace> sources;
    const auto base = to_register_bytes(mem.base);
    const auto index = to_register_bytes(mem.index);
    if (base) sources.push_back(*base);
    if (index) sources.push_back(*index);
    if (full && base && !index && addend == 0) {
      copy(*d, *base);
      return true;
    }
    if (sources.empty()) addend = low_bytes(addend, size);
    edge(*d, FlowKind::address, std::move(sources), addend);
    if (full && base) flow_.edges.back().linear_scale = index && mem.scale != 0 ? mem.scale : 1;
    if (full && !base && index && mem.scale <= 1) flow_.edges.back().linear_scale = 1;
    extend(0, size);
    return true;
  }

  bool exchange() {
    const auto a = place(0);
    const auto b = place(1);
    if (!a || !b) return false;
    if (*a == *b) {
      // 90 is nop and never gets here; other encodings of xchg eax, eax do clear the upper half.
      extend(0, bytes(0));
      return true;
    }
    copy(*a, *b);
    copy(*b, *a);
    extend(0, bytes(0));
    extend(1, bytes(1));
    return true;
  }

  bool exchange_add() {
    const auto a = place(0);
    const auto b = place(1);
    if (!a || !b) return false;
    edge(*a, FlowKind::arithmetic, {*a, *b});
    if (bytes(0) == 8 && is_register(0)) flow_.edges.back().linear_scale = 1;
    extend(0, bytes(0));
    if (*a == *b) return true;  // the sum is stored last (Intel SDM vol. 2, XADD)
    copy(*b, *a);
    extend(1, bytes(1));
    return true;
  }

  // Whether a cmpxchg stored its operand; nothing if that is not known.
  std::optional<bool> exchanged() {
    flow_.depends_on_registers = true;
    if (after_ == nullptr) return std::nullopt;
    return (after_->rflags & ZYDIS_CPUFLAG_ZF) != 0;
  }

  bool compare_exchange() {
    const auto target = place(0);
    const auto value = place(1);
    const std::uint32_t size = bytes(0);
    if (!target || !value || size == 0 || size > 8) return false;
    const RegisterBytes accumulator{RegisterClass::gpr, 0, 0, static_cast<std::uint8_t>(size)};
    const auto stored = exchanged();
    if (stored == std::optional(true)) {
      copy(*target, *value);
      extend(0, size);
    } else if (stored == std::optional(false)) {
      copy(accumulator, *target);
      if (size == 4) edge(RegisterBytes{RegisterClass::gpr, 0, 4, 4}, FlowKind::zero);
    } else {
      edge(*target, FlowKind::select, {*value, *target});
      if (*target != FlowPlace{accumulator}) {
        edge(accumulator, FlowKind::select, {*target, accumulator});
        if (size == 4)
          edge(RegisterBytes{RegisterClass::gpr, 0, 4, 4}, FlowKind::arithmetic,
               {RegisterBytes{RegisterClass::gpr, 0, 4, 4}});
      }
      // Which of the two 32-bit registers is zero-extended depends on the outcome as well.
      if (is_register(0) && size == 4)
        edge(*slice(0, 4, 4), FlowKind::arithmetic, {*slice(0, 4, 4)});
    }
    return true;
  }

  bool compare_exchange_pair(std::uint32_t half) {
    const auto target = place(0);
    if (!target || bytes(0) != 2 * half) return false;
    const auto reg = [half](Gpr r) {
      return RegisterBytes{RegisterClass::gpr, static_cast<std::uint8_t>(r), 0,
                           static_cast<std::uint8_t>(half)};
    };
    const auto stored = exchanged();
    const FlowPlace low = part(*target, 0, half);
    const FlowPlace high = part(*target, half, half);
    if (stored == std::optional(true)) {
      copy(low, reg(Gpr::rbx));
      copy(high, reg(Gpr::rcx));
      return true;
    }
    const bool known = stored.has_value();
    const std::pair<Gpr, FlowPlace> results[] = {{Gpr::rax, low}, {Gpr::rdx, high}};
    for (const auto& [r, source] : results) {
      if (known) {
        copy(reg(r), source);
      } else {
        edge(reg(r), FlowKind::select, {source, reg(r)});
      }
      if (half == 4) {
        RegisterBytes upper = reg(r);
        upper.offset = 4;
        edge(upper, known ? FlowKind::zero : FlowKind::arithmetic,
             known ? std::vector<FlowPlace>{} : std::vector<FlowPlace>{upper});
      }
    }
    if (!known) {
      edge(low, FlowKind::select, {reg(Gpr::rbx), low});
      edge(high, FlowKind::select, {reg(Gpr::rcx), high});
    }
    return true;
  }

  bool conditional_move() {
    flow_.depends_on_registers = true;
    const std::uint32_t size = bytes(0);
    const auto d = place(0);
    const auto s = place(1);
    if (!d || !s) return false;
    if (before_ == nullptr) {
      if (*d != *s) edge(*d, FlowKind::select, {*s, *d});
    } else if (condition_holds(view_.insn.opcode & 15U, before_->rflags)) {
      copy(*d, *s);
    }
    extend(0, size);  // also when the move is not made (Intel SDM vol. 2, CMOVcc)
    return true;
  }

  bool reverse(std::size_t to, std::size_t from) {
    const std::uint32_t size = bytes(to);
    if (size != 2 && size != 4 && size != 8) return false;
    if (view_.insn.mnemonic == ZYDIS_MNEMONIC_BSWAP && size == 2) return false;  // undefined
    for (std::uint32_t i = 0; i < size; ++i) {
      const auto d = slice(to, i, 1);
      const auto s = slice(from, size - 1 - i, 1);
      if (!d || !s) return false;
      copy(*d, *s);
    }
    extend(to, size);
    return true;
  }

  bool sign_extend(std::size_t to, std::size_t from) {
    const std::uint32_t size = bytes(to);
    const std::uint32_t n = std::min(size, bytes(from));
    const auto d = slice(to, 0, n);
    const auto s = slice(from, 0, n);
    if (!d || !s || n == 0) return false;
    copy(*d, *s);
    if (size > n) edge(*slice(to, n, size - n), FlowKind::arithmetic, {*slice(from, n - 1, 1)});
    extend(to, size);
    return true;
  }

  // The index of the operand that is the implicit stack access, or operand_count.
  std::size_t stack_operand() const {
    for (std::size_t i = 0; i < view_.insn.operand_count; ++i) {
      if (memory_[i] >= 0 && operand(i).visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN) return i;
    }
    return view_.insn.operand_count;
  }

  bool push() {
    const std::size_t stack = stack_operand();
    if (stack == view_.insn.operand_count) return false;
    const auto d = place(stack);
    const std::uint32_t size = bytes(stack);
    if (!d || size == 0 || size > 8) return false;
    rsp_step(-static_cast<std::int64_t>(size));
    if (view_.insn.operand_count_visible == 0) {
      edge(*d, FlowKind::arithmetic, {kFlags});  // pushf clears some bits
      return true;
    }
    if (is_immediate(0)) {
      edge(*d, FlowKind::immediate, {}, low_bytes(immediate(0), size));
      return true;
    }
    const auto s = place(0);
    if (!s || bytes(0) != size || size_of(*s) != size) {
      edge(*d, FlowKind::unknown, {});  // a selector
      return true;
    }
    copy(*d, *s);
    return true;
  }

  bool pop() {
    const std::size_t stack = stack_operand();
    if (stack == view_.insn.operand_count) return false;
    const auto s = place(stack);
    const std::uint32_t size = bytes(stack);
    if (!s || size == 0 || size > 8) return false;
    const std::size_t count = view_.insn.operand_count_visible;
    const auto d = count == 0 ? std::nullopt : place(0);
    if (count == 0) {
      edge(kFlags, FlowKind::arithmetic, {*s});
    } else if (d && bytes(0) == size &&
               (std::get_if<RegisterBytes>(&*d) == nullptr ||
                std::get<RegisterBytes>(*d).cls == RegisterClass::gpr)) {
      copy(*d, *s);
      if (*d == FlowPlace{whole(Gpr::rsp)}) return true;
      if (const auto* r = std::get_if<RegisterBytes>(&*d);
          r != nullptr && size < 8 && r->number == static_cast<std::uint8_t>(Gpr::rsp)) {
        // pop sp: the low bytes are loaded over the stepped rsp.
        edge(RegisterBytes{RegisterClass::gpr, r->number, static_cast<std::uint8_t>(size),
                           static_cast<std::uint8_t>(8 - size)},
             FlowKind::arithmetic, {whole(Gpr::rsp)});
        return true;
      }
    } else if (d) {
      edge(*d, FlowKind::unknown, {*s});
    }
    rsp_step(size);
    return true;
  }

  bool call() {
    const std::size_t stack = stack_operand();
    if (stack == view_.insn.operand_count || bytes(stack) != 8) return false;
    edge(*place(stack), FlowKind::immediate, {}, instruction_.end().value);
    rsp_step(-8);
    return true;
  }

  bool ret() {
    if (view_.insn.mnemonic != ZYDIS_MNEMONIC_RET) return false;
    std::int64_t step = 8;
    if (view_.insn.operand_count_visible == 1 && is_immediate(0))
      step += static_cast<std::int64_t>(immediate(0) & 0xffff);
    rsp_step(step);
    return true;
  }

  bool leave() {
    if (view_.insn.operand_width != 64 || instruction_.memory.empty()) return false;
    linear(whole(Gpr::rsp), whole(Gpr::rbp), 8);
    copy(whole(Gpr::rbp), MemoryBytes{0, 0, 8});
    return true;
  }

  bool enter() {
    // With a nesting level more than rbp is pushed.
    if (view_.insn.operand_width != 64 || instruction_.memory.empty() || immediate(1) % 32 != 0)
      return false;
    copy(MemoryBytes{0, 0, 8}, whole(Gpr::rbp));
    linear(whole(Gpr::rbp), whole(Gpr::rsp), -8);
    rsp_step(-8 - static_cast<std::int64_t>(immediate(0) & 0xffff));
    return true;
  }

  bool system_call() {
    if (view_.insn.mnemonic != ZYDIS_MNEMONIC_SYSCALL) return false;
    // Arguments by the kernel's convention (System V x86-64 psABI 1.0, A.2.1); rcx and r11 by the
    // instruction itself (Intel SDM vol. 2, SYSCALL).
    std::vector<FlowPlace> sources;
    for (const Gpr r : {Gpr::rax, Gpr::rdi, Gpr::rsi, Gpr::rdx, Gpr::r10, Gpr::r8, Gpr::r9})
      sources.emplace_back(whole(r));
    edge(whole(Gpr::rax), FlowKind::system_call, std::move(sources));
    edge(whole(Gpr::rcx), FlowKind::immediate, {}, instruction_.end().value);
    edge(whole(Gpr::r11), FlowKind::arithmetic, {kFlags});
    edge(kFlags, FlowKind::system_call, {});
    return true;
  }

  bool interrupt() {
    if (view_.insn.mnemonic != ZYDIS_MNEMONIC_INT || !is_immediate(0) || immediate(0) != 0x80)
      return false;
    std::vector<FlowPlace> sources;
    for (const Gpr r : {Gpr::rax, Gpr::rbx, Gpr::rcx, Gpr::rdx, Gpr::rsi, Gpr::rdi, Gpr::rbp})
      sources.emplace_back(whole(r));
    edge(whole(Gpr::rax), FlowKind::system_call, std::move(sources));
    // The compat entry clears them (Linux, arch/x86/entry/entry_64_compat.S).
    for (const Gpr r : {Gpr::r8, Gpr::r9, Gpr::r10, Gpr::r11})
      edge(whole(r), FlowKind::unknown, {});
    edge(kFlags, FlowKind::system_call, {});
    return true;
  }

  // Stores only write memory; everything else may change any x87 register.
  bool x87() {
    const auto sources = inputs();
    bool touches_stack = false;
    for (std::size_t i = 0; i < view_.insn.operand_count; ++i) {
      if (is_register(i) && is_x87(operand(i).reg.value)) touches_stack = true;
      const auto p = place(i);
      if (!p || !is_written(operand(i)) || *p == FlowPlace{kFlags} || written_already(*p)) continue;
      edge(*p, FlowKind::unknown, sources);
      extend(i, bytes(i));
    }
    if (touches_stack &&
        std::any_of(instruction_.writes.begin(), instruction_.writes.end(),
                    [](const RegisterBytes& r) { return r.cls == RegisterClass::mmx; })) {
      for (std::uint8_t n = 0; n < 8; ++n)
        edge(RegisterBytes{RegisterClass::mmx, n, 0, 8}, FlowKind::unknown, sources);
    }
    return true;
  }

  bool segment_base(std::uint8_t which, bool write) {
    const auto r = place(0);
    if (!r || std::get_if<RegisterBytes>(&*r) == nullptr) return false;
    const std::uint32_t size = bytes(0);
    const RegisterBytes base{RegisterClass::segment_base, which, 0,
                             static_cast<std::uint8_t>(size)};
    if (!write) {
      copy(*r, base);
      extend(0, size);
      return true;
    }
    copy(base, *r);
    if (size == 4) edge(RegisterBytes{RegisterClass::segment_base, which, 4, 4}, FlowKind::zero);
    return true;
  }

  bool zero_vectors(std::uint8_t from) {
    for (std::uint8_t n = 0; n < 16; ++n) {
      edge(RegisterBytes{RegisterClass::vector, n, from, static_cast<std::uint8_t>(64 - from)},
           FlowKind::zero);
    }
    return true;
  }

  bool restore_state() {
    const std::vector<FlowPlace> sources = inputs();
    const std::uint8_t vectors = view_.insn.mnemonic == ZYDIS_MNEMONIC_XRSTOR ||
                                         view_.insn.mnemonic == ZYDIS_MNEMONIC_XRSTOR64
                                     ? 32
                                     : 16;
    for (std::uint8_t n = 0; n < vectors; ++n) {
      const std::uint8_t width = vectors == 32 ? 64 : 16;
      edge(RegisterBytes{RegisterClass::vector, n, 0, width}, FlowKind::unknown, sources);
    }
    for (std::uint8_t n = 0; n < 8; ++n)
      edge(RegisterBytes{RegisterClass::mmx, n, 0, 8}, FlowKind::unknown, sources);
    edge(RegisterBytes{RegisterClass::other, 0, 0, 8}, FlowKind::unknown, sources);
    return true;
  }

  bool movdir64b() {
    if (instruction_.memory.size() != 2) return false;
    copy(MemoryBytes{1, 0, 64}, MemoryBytes{0, 0, 64});
    return true;
  }

  // One iteration of a string instruction, or all of it where there is no rep prefix.
  bool string_operation() {
    const bool wide = view_.insn.address_width == 64;
    const auto pointer = [wide](Gpr r) {
      RegisterBytes result = whole(r);
      if (!wide) result.size = 4;
      return result;
    };
    const RegisterBytes counter = pointer(Gpr::rcx);
    if (instruction_.repeated) {
      flow_.depends_on_registers = true;
      if (before_ != nullptr && value_of(counter, *before_) == std::optional<std::uint64_t>(0))
        return true;  // nothing happens
    }
    std::uint32_t element = 0;
    std::optional<MemoryBytes> source;
    std::optional<MemoryBytes> destination;
    for (std::size_t i = 0; i < instruction_.memory.size(); ++i) {
      const MemOperand& m = instruction_.memory[i];
      element = m.size;
      const MemoryBytes all{static_cast<std::uint8_t>(i), 0, m.size};
      if (m.written) {
        destination = all;
      } else {
        source = all;
      }
    }
    if (element == 0 || element > 8) return false;
    const RegisterBytes accumulator{RegisterClass::gpr, 0, 0, static_cast<std::uint8_t>(element)};
    const bool endless = instruction_.repeated && before_ == nullptr;
    const bool loads = view_.insn.mnemonic == ZYDIS_MNEMONIC_LODSB ||
                       view_.insn.mnemonic == ZYDIS_MNEMONIC_LODSW ||
                       view_.insn.mnemonic == ZYDIS_MNEMONIC_LODSD ||
                       view_.insn.mnemonic == ZYDIS_MNEMONIC_LODSQ;
    if (destination) {
      const FlowPlace value = source ? FlowPlace{*source} : FlowPlace{accumulator};
      if (endless) {
        destination->size = 0;
        edge(*destination, FlowKind::unknown, {value});
      } else {
        copy(*destination, value);
      }
    } else if (loads && source) {
      if (endless) {
        edge(accumulator, FlowKind::unknown, {*source});
      } else {
        copy(accumulator, *source);
      }
      if (element == 4) edge(RegisterBytes{RegisterClass::gpr, 0, 4, 4}, FlowKind::zero);
    }
    // Pointers step by the element, up or down by the direction flag.
    std::int64_t step = element;
    if (before_ != nullptr && (before_->rflags & ZYDIS_CPUFLAG_DF) != 0) step = -step;
    for (const Gpr r : {Gpr::rsi, Gpr::rdi}) {
      const RegisterBytes p = pointer(r);
      if (std::find_if(instruction_.writes.begin(), instruction_.writes.end(),
                       [&p](const RegisterBytes& w) { return w.overlaps(p); }) ==
          instruction_.writes.end())
        continue;
      if (wide && before_ != nullptr) {
        linear(p, p, step);
      } else {
        std::vector<FlowPlace> sources{p};
        if (instruction_.repeated) sources.emplace_back(counter);
        edge(p, FlowKind::address, std::move(sources));
        if (!wide) edge(RegisterBytes{RegisterClass::gpr, p.number, 4, 4}, FlowKind::zero);
      }
    }
    if (!before_) flow_.depends_on_registers = true;
    if (instruction_.repeated) {
      if (wide && before_ != nullptr) {
        linear(counter, counter, -1, FlowKind::arithmetic);
      } else {
        edge(counter, FlowKind::arithmetic, {counter});
        if (!wide) edge(RegisterBytes{RegisterClass::gpr, counter.number, 4, 4}, FlowKind::zero);
      }
    }
    flow_.depends_on_registers = true;  // the direction flag
    return true;
  }

  const Instruction& instruction_;
  const ZydisView& view_;
  const Registers* before_;
  const Registers* after_;
  std::array<std::int8_t, ZYDIS_MAX_OPERAND_COUNT> memory_;
  std::vector<std::uint8_t> visible_;
  bool masked_ = false;
  DataFlow flow_;
};

}  // namespace

const char* to_string(FlowKind kind) {
  switch (kind) {
    case FlowKind::copy:
      return "copy";
    case FlowKind::immediate:
      return "immediate";
    case FlowKind::zero:
      return "zero";
    case FlowKind::address:
      return "address";
    case FlowKind::arithmetic:
      return "arithmetic";
    case FlowKind::select:
      return "select";
    case FlowKind::system_call:
      return "system_call";
    case FlowKind::unknown:
      break;
  }
  return "unknown";
}

std::uint32_t size_of(const FlowPlace& place) {
  if (const auto* r = std::get_if<RegisterBytes>(&place)) return r->size;
  return std::get<MemoryBytes>(place).size;
}

DataFlow data_flow(const Instruction& instruction, const Registers* before,
                   const Registers* after) {
  ZydisView view;
  const std::size_t length = std::min<std::size_t>(instruction.length, instruction.bytes.size());
  if (!zydis_decode(std::span(instruction.bytes).first(length), view)) return {{}, false, false};
  // A caller's own edit of the public fields must not lead past the operands.
  const Instruction canonical =
      to_instruction(view, std::span(instruction.bytes).first(length), instruction.address);
  return Builder(canonical, view, before, after).build();
}

}  // namespace culprit::x86
