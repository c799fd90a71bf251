#include "x86/shuffles.h"

#include <algorithm>

namespace culprit::x86 {
namespace {

// One rearrangement being described. `first` is the operand that the two-operand legacy form takes
// from its destination; `second` is the last register or memory operand.
struct Shuffle {
  const ZydisView& view;
  ByteMap& map;
  std::int8_t dest = 0;
  std::int8_t first = 0;
  std::int8_t second = 0;
  unsigned imm = 0;  // one byte
  std::size_t size = 0;  // of the destination in bytes

  std::size_t lane() const { return std::min<std::size_t>(size, 16); }
  // The width of the register itself: Zydis gives only the part that is read (vextractf128).
  std::size_t register_size(std::int8_t operand) const {
    const auto& op = view.operands[static_cast<std::size_t>(operand)];
    if (op.type != ZYDIS_OPERAND_TYPE_REGISTER) return 0;
    const auto r = to_register_bytes(op.reg.value);
    return r ? r->size : 0;
  }
  bool is_memory(std::int8_t operand) const {
    return view.operands[static_cast<std::size_t>(operand)].type == ZYDIS_OPERAND_TYPE_MEMORY;
  }

  void set(std::size_t to, std::int8_t operand, std::size_t from, std::size_t count) {
    for (std::size_t i = 0; i < count && to + i < map.bytes.size(); ++i)
      map.bytes[to + i] = {operand, static_cast<std::uint8_t>(from + i)};
  }
  void zero(std::size_t to, std::size_t count) {
    for (std::size_t i = 0; i < count && to + i < map.bytes.size(); ++i) map.bytes[to + i] = {};
  }
  bool done(std::size_t n) {
    map.size = n;
    return true;
  }
  bool done() { return done(size); }

  // Interleaves `element`-byte elements of the low or high halves of each lane.
  bool unpack(std::size_t element, bool high) {
    for (std::size_t base = 0; base < size; base += lane()) {
      const std::size_t start = base + (high ? lane() / 2 : 0);
      for (std::size_t k = 0; k * 2 * element < lane(); ++k) {
        set(base + 2 * k * element, first, start + k * element, element);
        set(base + (2 * k + 1) * element, second, start + k * element, element);
      }
    }
    return done();
  }

  // Each lane's four elements of `element` bytes from offset `start` chosen by two bits of imm
  // each.
  bool choose_four(std::size_t element, std::size_t start) {
    for (std::size_t base = 0; base < size; base += lane()) {
      set(base, second, base, lane());
      for (std::size_t k = 0; k < 4; ++k) {
        const std::size_t from = (imm >> (2 * k)) & 3U;
        set(base + start + k * element, second, base + start + from * element, element);
      }
    }
    return done();
  }

  bool shufps() {
    for (std::size_t base = 0; base < size; base += 16) {
      for (std::size_t k = 0; k < 4; ++k) {
        const std::size_t from = (imm >> (2 * k)) & 3U;
        set(base + k * 4, k < 2 ? first : second, base + from * 4, 4);
      }
    }
    return done();
  }

  bool shufpd() {
    for (std::size_t k = 0; k * 8 < size; ++k) {
      const std::size_t from = (imm >> k) & 1U;
      set(k * 8, k % 2 == 0 ? first : second, (k / 2) * 16 + from * 8, 8);
    }
    return done();
  }

  // Takes element k from `second` if bit k (modulo 8 for words) of imm is set.
  bool blend(std::size_t element) {
    for (std::size_t k = 0; k * element < size; ++k) {
      const bool from_second = ((imm >> (k % 8)) & 1U) != 0;
      set(k * element, from_second ? second : first, k * element, element);
    }
    return done();
  }

  bool align_right() {
    for (std::size_t base = 0; base < size; base += lane()) {
      for (std::size_t k = 0; k < lane(); ++k) {
        const std::size_t from = k + imm;
        if (from < lane()) {
          set(base + k, second, base + from, 1);
        } else if (from < 2 * lane()) {
          set(base + k, first, base + from - lane(), 1);
        } else {
          zero(base + k, 1);
        }
      }
    }
    return done();
  }

  bool shift_lanes(bool left) {
    const std::size_t n = std::min<std::size_t>(imm, 16);
    for (std::size_t base = 0; base < size; base += 16) {
      zero(base, 16);
      if (left) {
        set(base + n, first, base, 16 - n);
      } else {
        set(base, first, base + n, 16 - n);
      }
    }
    return done();
  }

  bool permute_halves() {
    for (std::size_t half = 0; half < 2; ++half) {
      const unsigned control = imm >> (4 * half);
      if ((control & 8U) != 0) {
        zero(half * 16, 16);
      } else {
        set(half * 16, (control & 2U) != 0 ? second : first, (control & 1U) * 16U, 16);
      }
    }
    return done();
  }

  bool permute_quarters() {
    for (std::size_t base = 0; base < size; base += 32) {
      for (std::size_t k = 0; k < 4; ++k)
        set(base + k * 8, second, base + ((imm >> (2 * k)) & 3U) * 8U, 8);
    }
    return done();
  }

  bool insert_block(std::size_t block) {
    if (size < 2 * block) return false;
    set(0, first, 0, size);
    set((imm % (size / block)) * block, second, 0, block);
    return done();
  }

  // The source register is wider than the (register or memory) destination.
  bool extract(std::size_t element, std::size_t source_size) {
    const std::size_t blocks = source_size / element;
    if (blocks == 0) return false;
    zero(0, size);
    set(0, second, (imm % blocks) * element, std::min(element, size));
    return done();
  }

  bool insert_element(std::size_t element) {
    set(0, first, 0, size);
    set((imm % (size / element)) * element, second, 0, element);
    return done();
  }

  bool insertps() {
    set(0, first, 0, 16);
    const std::size_t from = is_memory(second) ? 0 : (imm >> 6) & 3U;
    set(((imm >> 4) & 3U) * 4U, second, from * 4, 4);
    for (std::size_t k = 0; k < 4; ++k) {
      if (((imm >> k) & 1U) != 0) zero(k * 4, 4);
    }
    return done(16);
  }

  bool broadcast(std::size_t element) {
    for (std::size_t to = 0; to < size; to += element)
      set(to, second, 0, std::min(element, size - to));
    return done();
  }

  bool duplicate(std::size_t element, bool odd) {
    for (std::size_t to = 0; to < size; to += 2 * element) {
      const std::size_t from = to + (odd ? element : 0);
      set(to, second, from, element);
      set(to + element, second, from, element);
    }
    return done();
  }

  bool widen_with_zero(std::size_t from_element, std::size_t to_element) {
    zero(0, size);
    for (std::size_t k = 0; k * to_element < size; ++k)
      set(k * to_element, second, k * from_element, from_element);
    return done();
  }

  // movlps, movhps and the like: 8 bytes at `offset` of the register, to or from memory.
  bool half_move(std::size_t offset) {
    if (is_memory(dest)) {
      set(0, second, offset, 8);
      return done(8);
    }
    set(0, first, 0, 16);
    set(offset, second, 0, 8);
    return done(16);
  }

  // movss/movsd. Register forms keep the rest of `first`; loads zero it.
  bool scalar_move(std::size_t element) {
    if (is_memory(dest)) {
      set(0, second, 0, element);
      return done(element);
    }
    if (is_memory(second)) {
      zero(0, 16);
    } else {
      set(0, first, 0, 16);
    }
    set(0, second, 0, element);
    return done(16);
  }
};

}  // namespace

bool byte_map(const ZydisView& view, std::span<const std::uint8_t> visible, ByteMap& map) {
  if (visible.size() < 2 || view.insn.avx.broadcast.mode != ZYDIS_BROADCAST_MODE_INVALID) {
    // {1toN} forms have their own element size; the static broadcasts are instructions of their
    // own.
    if (visible.size() < 2 || !view.insn.avx.broadcast.is_static) return false;
  }
  Shuffle s{view, map};
  std::size_t values = visible.size();
  const auto& last = view.operands[visible[values - 1]];
  if (last.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
    s.imm = static_cast<unsigned>(last.imm.value.u & 0xff);
    --values;
  }
  if (values == 0) return false;
  s.dest = static_cast<std::int8_t>(visible[0]);
  s.second = static_cast<std::int8_t>(visible[values - 1]);
  s.first = values >= 3 ? static_cast<std::int8_t>(visible[1]) : s.dest;
  s.size = view.operands[visible[0]].size / 8U;
  if (s.size == 0 || s.size > 64) return false;

  switch (view.insn.mnemonic) {
    case ZYDIS_MNEMONIC_MOVLPS:
    case ZYDIS_MNEMONIC_MOVLPD:
    case ZYDIS_MNEMONIC_VMOVLPS:
    case ZYDIS_MNEMONIC_VMOVLPD:
      return s.half_move(0);
    case ZYDIS_MNEMONIC_MOVHPS:
    case ZYDIS_MNEMONIC_MOVHPD:
    case ZYDIS_MNEMONIC_VMOVHPS:
    case ZYDIS_MNEMONIC_VMOVHPD:
      return s.half_move(8);
    case ZYDIS_MNEMONIC_MOVHLPS:
    case ZYDIS_MNEMONIC_VMOVHLPS:
      s.set(0, s.first, 0, 16);
      s.set(0, s.second, 8, 8);
      return s.done(16);
    case ZYDIS_MNEMONIC_MOVLHPS:
    case ZYDIS_MNEMONIC_VMOVLHPS:
      s.set(0, s.first, 0, 16);
      s.set(8, s.second, 0, 8);
      return s.done(16);
    case ZYDIS_MNEMONIC_MOVSS:
    case ZYDIS_MNEMONIC_VMOVSS:
      return s.scalar_move(4);
    case ZYDIS_MNEMONIC_MOVSD:
    case ZYDIS_MNEMONIC_VMOVSD:
      return s.scalar_move(8);
    case ZYDIS_MNEMONIC_MOVDDUP:
    case ZYDIS_MNEMONIC_VMOVDDUP:
      return s.duplicate(8, false);
    case ZYDIS_MNEMONIC_MOVSLDUP:
    case ZYDIS_MNEMONIC_VMOVSLDUP:
      return s.duplicate(4, false);
    case ZYDIS_MNEMONIC_MOVSHDUP:
    case ZYDIS_MNEMONIC_VMOVSHDUP:
      return s.duplicate(4, true);
    case ZYDIS_MNEMONIC_PSHUFD:
    case ZYDIS_MNEMONIC_VPSHUFD:
      return s.choose_four(4, 0);
    case ZYDIS_MNEMONIC_PSHUFLW:
    case ZYDIS_MNEMONIC_VPSHUFLW:
      return s.choose_four(2, 0);
    case ZYDIS_MNEMONIC_PSHUFHW:
    case ZYDIS_MNEMONIC_VPSHUFHW:
      return s.choose_four(2, 8);
    case ZYDIS_MNEMONIC_PSHUFW:
      return s.choose_four(2, 0);
    case ZYDIS_MNEMONIC_SHUFPS:
    case ZYDIS_MNEMONIC_VSHUFPS:
      return s.shufps();
    case ZYDIS_MNEMONIC_SHUFPD:
    case ZYDIS_MNEMONIC_VSHUFPD:
      return s.shufpd();
    case ZYDIS_MNEMONIC_PUNPCKLBW:
    case ZYDIS_MNEMONIC_VPUNPCKLBW:
      return s.unpack(1, false);
    case ZYDIS_MNEMONIC_PUNPCKLWD:
    case ZYDIS_MNEMONIC_VPUNPCKLWD:
      return s.unpack(2, false);
    case ZYDIS_MNEMONIC_PUNPCKLDQ:
    case ZYDIS_MNEMONIC_VPUNPCKLDQ:
    case ZYDIS_MNEMONIC_UNPCKLPS:
    case ZYDIS_MNEMONIC_VUNPCKLPS:
      return s.unpack(4, false);
    case ZYDIS_MNEMONIC_PUNPCKLQDQ:
    case ZYDIS_MNEMONIC_VPUNPCKLQDQ:
    case ZYDIS_MNEMONIC_UNPCKLPD:
    case ZYDIS_MNEMONIC_VUNPCKLPD:
      return s.unpack(8, false);
    case ZYDIS_MNEMONIC_PUNPCKHBW:
    case ZYDIS_MNEMONIC_VPUNPCKHBW:
      return s.unpack(1, true);
    case ZYDIS_MNEMONIC_PUNPCKHWD:
    case ZYDIS_MNEMONIC_VPUNPCKHWD:
      return s.unpack(2, true);
    case ZYDIS_MNEMONIC_PUNPCKHDQ:
    case ZYDIS_MNEMONIC_VPUNPCKHDQ:
    case ZYDIS_MNEMONIC_UNPCKHPS:
    case ZYDIS_MNEMONIC_VUNPCKHPS:
      return s.unpack(4, true);
    case ZYDIS_MNEMONIC_PUNPCKHQDQ:
    case ZYDIS_MNEMONIC_VPUNPCKHQDQ:
    case ZYDIS_MNEMONIC_UNPCKHPD:
    case ZYDIS_MNEMONIC_VUNPCKHPD:
      return s.unpack(8, true);
    case ZYDIS_MNEMONIC_PALIGNR:
    case ZYDIS_MNEMONIC_VPALIGNR:
      return s.align_right();
    // The VEX form's destination differs from its source; the legacy form shifts in place.
    case ZYDIS_MNEMONIC_PSLLDQ:
    case ZYDIS_MNEMONIC_VPSLLDQ:
      s.first = s.second;
      return s.shift_lanes(true);
    case ZYDIS_MNEMONIC_PSRLDQ:
    case ZYDIS_MNEMONIC_VPSRLDQ:
      s.first = s.second;
      return s.shift_lanes(false);
    case ZYDIS_MNEMONIC_VPERM2F128:
    case ZYDIS_MNEMONIC_VPERM2I128:
      return s.permute_halves();
    case ZYDIS_MNEMONIC_VPERMQ:
    case ZYDIS_MNEMONIC_VPERMPD:
      return last.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && s.permute_quarters();
    case ZYDIS_MNEMONIC_VINSERTF128:
    case ZYDIS_MNEMONIC_VINSERTI128:
    case ZYDIS_MNEMONIC_VINSERTF32X4:
    case ZYDIS_MNEMONIC_VINSERTI32X4:
    case ZYDIS_MNEMONIC_VINSERTF64X2:
    case ZYDIS_MNEMONIC_VINSERTI64X2:
      return s.insert_block(16);
    case ZYDIS_MNEMONIC_VINSERTF64X4:
    case ZYDIS_MNEMONIC_VINSERTI64X4:
    case ZYDIS_MNEMONIC_VINSERTF32X8:
    case ZYDIS_MNEMONIC_VINSERTI32X8:
      return s.insert_block(32);
    case ZYDIS_MNEMONIC_VEXTRACTF128:
    case ZYDIS_MNEMONIC_VEXTRACTI128:
    case ZYDIS_MNEMONIC_VEXTRACTF32X4:
    case ZYDIS_MNEMONIC_VEXTRACTI32X4:
    case ZYDIS_MNEMONIC_VEXTRACTF64X2:
    case ZYDIS_MNEMONIC_VEXTRACTI64X2:
      return s.extract(16, s.register_size(s.second));
    case ZYDIS_MNEMONIC_VEXTRACTF64X4:
    case ZYDIS_MNEMONIC_VEXTRACTI64X4:
    case ZYDIS_MNEMONIC_VEXTRACTF32X8:
    case ZYDIS_MNEMONIC_VEXTRACTI32X8:
      return s.extract(32, s.register_size(s.second));
    case ZYDIS_MNEMONIC_PEXTRB:
    case ZYDIS_MNEMONIC_VPEXTRB:
      return s.extract(1, 16);
    case ZYDIS_MNEMONIC_PEXTRW:
    case ZYDIS_MNEMONIC_VPEXTRW:
      return s.extract(2, s.register_size(s.second));
    case ZYDIS_MNEMONIC_PEXTRD:
    case ZYDIS_MNEMONIC_VPEXTRD:
    case ZYDIS_MNEMONIC_EXTRACTPS:
    case ZYDIS_MNEMONIC_VEXTRACTPS:
      return s.extract(4, 16);
    case ZYDIS_MNEMONIC_PEXTRQ:
    case ZYDIS_MNEMONIC_VPEXTRQ:
      return s.extract(8, 16);
    case ZYDIS_MNEMONIC_PINSRB:
    case ZYDIS_MNEMONIC_VPINSRB:
      return s.insert_element(1);
    case ZYDIS_MNEMONIC_PINSRW:
    case ZYDIS_MNEMONIC_VPINSRW:
      return s.insert_element(2);
    case ZYDIS_MNEMONIC_PINSRD:
    case ZYDIS_MNEMONIC_VPINSRD:
      return s.insert_element(4);
    case ZYDIS_MNEMONIC_PINSRQ:
    case ZYDIS_MNEMONIC_VPINSRQ:
      return s.insert_element(8);
    case ZYDIS_MNEMONIC_INSERTPS:
    case ZYDIS_MNEMONIC_VINSERTPS:
      return s.insertps();
    case ZYDIS_MNEMONIC_PBLENDW:
    case ZYDIS_MNEMONIC_VPBLENDW:
      return s.blend(2);
    case ZYDIS_MNEMONIC_BLENDPS:
    case ZYDIS_MNEMONIC_VBLENDPS:
    case ZYDIS_MNEMONIC_VPBLENDD:
      return s.blend(4);
    case ZYDIS_MNEMONIC_BLENDPD:
    case ZYDIS_MNEMONIC_VBLENDPD:
      return s.blend(8);
    case ZYDIS_MNEMONIC_VPBROADCASTB:
      return s.broadcast(1);
    case ZYDIS_MNEMONIC_VPBROADCASTW:
      return s.broadcast(2);
    case ZYDIS_MNEMONIC_VPBROADCASTD:
    case ZYDIS_MNEMONIC_VBROADCASTSS:
      return s.broadcast(4);
    case ZYDIS_MNEMONIC_VPBROADCASTQ:
    case ZYDIS_MNEMONIC_VBROADCASTSD:
      return s.broadcast(8);
    case ZYDIS_MNEMONIC_VBROADCASTF128:
    case ZYDIS_MNEMONIC_VBROADCASTI128:
    case ZYDIS_MNEMONIC_VBROADCASTF32X4:
    case ZYDIS_MNEMONIC_VBROADCASTI32X4:
    case ZYDIS_MNEMONIC_VBROADCASTF64X2:
    case ZYDIS_MNEMONIC_VBROADCASTI64X2:
      return s.broadcast(16);
    case ZYDIS_MNEMONIC_VBROADCASTF64X4:
    case ZYDIS_MNEMONIC_VBROADCASTI64X4:
    case ZYDIS_MNEMONIC_VBROADCASTF32X8:
    case ZYDIS_MNEMONIC_VBROADCASTI32X8:
      return s.broadcast(32);
    case ZYDIS_MNEMONIC_PMOVZXBW:
    case ZYDIS_MNEMONIC_VPMOVZXBW:
      return s.widen_with_zero(1, 2);
    case ZYDIS_MNEMONIC_PMOVZXBD:
    case ZYDIS_MNEMONIC_VPMOVZXBD:
      return s.widen_with_zero(1, 4);
    case ZYDIS_MNEMONIC_PMOVZXBQ:
    case ZYDIS_MNEMONIC_VPMOVZXBQ:
      return s.widen_with_zero(1, 8);
    case ZYDIS_MNEMONIC_PMOVZXWD:
    case ZYDIS_MNEMONIC_VPMOVZXWD:
      return s.widen_with_zero(2, 4);
    case ZYDIS_MNEMONIC_PMOVZXWQ:
    case ZYDIS_MNEMONIC_VPMOVZXWQ:
      return s.widen_with_zero(2, 8);
    case ZYDIS_MNEMONIC_PMOVZXDQ:
    case ZYDIS_MNEMONIC_VPMOVZXDQ:
      return s.widen_with_zero(4, 8);
    default:
      return false;
  }
}

}  // namespace culprit::x86
