#include "binary/location_expression.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "binary/byte_reader.h"
#include "llvm/BinaryFormat/Dwarf.h"
#include "llvm/DebugInfo/DWARF/DWARFDie.h"
#include "llvm/DebugInfo/DWARF/DWARFUnit.h"

namespace culprit::binary {
namespace {

namespace dwarf = llvm::dwarf;

constexpr int kMaxSteps = 4096;
constexpr std::size_t kMaxStack = 256;
constexpr std::size_t kMaxPieces = 256;
constexpr std::uint64_t kMaxImplicitBytes = 4096;
constexpr std::uint64_t kReturnAddressRegister = 16;

// GNU codes that llvm/BinaryFormat/Dwarf.def does not list (gcc's include/dwarf2.def).
constexpr std::uint8_t kGnuImplicitPointer = 0xF2;
constexpr std::uint8_t kGnuConstType = 0xF4;
constexpr std::uint8_t kGnuRegvalType = 0xF5;
constexpr std::uint8_t kGnuDerefType = 0xF6;
constexpr std::uint8_t kGnuConvert = 0xF7;
constexpr std::uint8_t kGnuReinterpret = 0xF9;
constexpr std::uint8_t kGnuParameterRef = 0xFA;
constexpr std::uint8_t kGnuVariableValue = 0xFD;

struct BaseType {
  std::uint64_t size = 8;
  bool is_signed = false;
  bool integral = true;
};

class Machine {
 public:
  Machine(std::span<const std::byte> expression, const ExpressionContext& context)
      : reader_(expression), context_(context), stack_(context.initial_stack) {}

  // Runs to the end. False: `failure_` and `failed_kind_` say why.
  bool run(std::uint64_t size);

  std::vector<LocationPiece> pieces;
  const std::string& failure() const { return failure_; }
  LocationKind failed_kind() const { return failed_kind_; }
  std::optional<std::uint64_t> top() const {
    if (stack_.empty()) return std::nullopt;
    return stack_.back();
  }
  // Set when the whole expression was one register.
  std::optional<std::uint64_t> register_number() const { return register_; }

 private:
  bool fail(LocationKind kind, std::string why) {
    failed_kind_ = kind;
    failure_ = std::move(why);
    return false;
  }
  bool unknown(std::string why) { return fail(LocationKind::unknown, std::move(why)); }
  bool push(std::uint64_t value) {
    if (stack_.size() >= kMaxStack) return unknown("expression stack overflow");
    stack_.push_back(value);
    return true;
  }
  bool need(std::size_t count) {
    return stack_.size() >= count || unknown("expression stack underflow");
  }
  std::uint64_t pop() {
    const std::uint64_t value = stack_.back();
    stack_.pop_back();
    return value;
  }
  bool push_register(std::uint64_t number, std::int64_t offset);
  bool dereference(std::uint64_t size);
  bool arithmetic(std::uint8_t op);
  bool step(std::uint8_t op);
  std::optional<BaseType> base_type(std::uint64_t offset_in_unit);
  bool convert(std::uint64_t type_offset);
  std::optional<std::uint64_t> indexed_address(std::uint64_t index);
  LocationPiece take_piece(std::uint64_t size);

  ByteReader reader_;
  const ExpressionContext& context_;
  std::vector<std::uint64_t> stack_;
  std::optional<std::uint64_t> register_;
  bool is_value_ = false;
  bool tls_ = false;
  bool lost_ = false;  // implicit pointer: no place, no value
  std::optional<std::vector<std::byte>> implicit_;
  std::string failure_;
  LocationKind failed_kind_ = LocationKind::unknown;
};

bool Machine::push_register(std::uint64_t number, std::int64_t offset) {
  if (context_.registers == nullptr) return unknown("no registers known");
  if (number == kReturnAddressRegister) {
    // gcc and ld compute the CFA of PLT entries from rip.
    if (!context_.registers->valid_pc) return unknown("rip is not known in this frame");
    return push(context_.registers->values.rip + static_cast<std::uint64_t>(offset));
  }
  const auto gpr = gpr_of_dwarf(number);
  if (!gpr) return unknown("register " + std::to_string(number) + " is not recorded");
  const auto value = context_.registers->get(*gpr);
  if (!value) return unknown(std::string(gpr_name(*gpr)) + " is not known in this frame");
  return push(*value + static_cast<std::uint64_t>(offset));
}

bool Machine::dereference(std::uint64_t size) {
  if (!need(1)) return false;
  if (size == 0 || size > 8) return unknown("odd dereference size");
  if (context_.memory == nullptr) return unknown("no memory");
  std::byte buffer[8] = {};
  const Address address{pop()};
  const std::span<std::byte> wanted(buffer, static_cast<std::size_t>(size));
  if (context_.memory->read(address, wanted) != size) {
    return unknown("memory at " + to_hex(address) + " cannot be read");
  }
  std::uint64_t value = 0;
  std::memcpy(&value, buffer, sizeof value);
  return push(value);
}

std::optional<BaseType> Machine::base_type(std::uint64_t offset_in_unit) {
  if (offset_in_unit == 0) return BaseType{};  // the generic type
  if (context_.unit == nullptr) return std::nullopt;
  const llvm::DWARFDie die =
      context_.unit->getDIEForOffset(context_.unit->getOffset() + offset_in_unit);
  if (!die || die.getTag() != dwarf::DW_TAG_base_type) return std::nullopt;
  BaseType type;
  type.size = dwarf::toUnsigned(die.find(dwarf::DW_AT_byte_size), 0);
  switch (dwarf::toUnsigned(die.find(dwarf::DW_AT_encoding), 0)) {
    case dwarf::DW_ATE_signed:
    case dwarf::DW_ATE_signed_char:
      type.is_signed = true;
      break;
    case dwarf::DW_ATE_unsigned:
    case dwarf::DW_ATE_unsigned_char:
    case dwarf::DW_ATE_address:
    case dwarf::DW_ATE_boolean:
    case dwarf::DW_ATE_UTF:
      break;
    default:
      type.integral = false;
  }
  if (type.size == 0 || type.size > 8) return std::nullopt;
  return type;
}

bool Machine::convert(std::uint64_t type_offset) {
  const auto type = base_type(type_offset);
  if (!type || !type->integral) return unknown("conversion to a type that is no integer");
  if (!need(1)) return false;
  std::uint64_t value = pop();
  if (type->size < 8) {
    const unsigned bits = static_cast<unsigned>(type->size) * 8;
    value &= (std::uint64_t{1} << bits) - 1;
    if (type->is_signed && (value >> (bits - 1)) != 0) value |= ~std::uint64_t{0} << bits;
  }
  return push(value);
}

std::optional<std::uint64_t> Machine::indexed_address(std::uint64_t index) {
  if (context_.unit == nullptr || index > UINT32_MAX) return std::nullopt;
  const auto item = context_.unit->getAddrOffsetSectionItem(static_cast<std::uint32_t>(index));
  if (!item) return std::nullopt;
  return item->Address;
}

LocationPiece Machine::take_piece(std::uint64_t size) {
  LocationPiece piece;
  piece.size = size;
  if (implicit_) {
    piece.kind = LocationKind::value;
    piece.bytes = std::move(*implicit_);
    if (size != 0 && piece.bytes.size() > size) piece.bytes.resize(static_cast<std::size_t>(size));
  } else if (lost_) {
    piece.kind = LocationKind::optimized_out;
    piece.note = "points to an object that was optimized out";
  } else if (register_) {
    if (const auto gpr = gpr_of_dwarf(*register_)) {
      piece.kind = LocationKind::gpr;
      piece.reg = gpr;
    } else {
      piece.kind = LocationKind::other_register;
      piece.note = *register_ >= 17 && *register_ <= 32
                       ? "in xmm" + std::to_string(*register_ - 17)
                       : "in DWARF register " + std::to_string(*register_);
    }
  } else if (stack_.empty()) {
    piece.kind = LocationKind::optimized_out;
  } else if (is_value_) {
    piece.kind = LocationKind::value;
    const std::uint64_t value = stack_.back();
    const std::size_t bytes = size == 0 || size > 8 ? 8 : static_cast<std::size_t>(size);
    piece.bytes.resize(bytes);
    std::memcpy(piece.bytes.data(), &value, bytes);
    // A value wider than what the stack holds is not fully known: zero-extended, as gdb does.
    if (size > 8 && size <= kMaxImplicitBytes) piece.bytes.resize(static_cast<std::size_t>(size));
  } else {
    piece.kind = tls_ ? LocationKind::thread_local_storage : LocationKind::memory;
    piece.address = Address{stack_.back()};
    if (tls_) piece.note = "offset in the module's thread-local storage";
  }
  return piece;
}

bool Machine::arithmetic(std::uint8_t op) {
  // Unary first.
  if (op == dwarf::DW_OP_abs || op == dwarf::DW_OP_neg || op == dwarf::DW_OP_not) {
    if (!need(1)) return false;
    const std::uint64_t v = pop();
    if (op == dwarf::DW_OP_not) return push(~v);
    const bool negative = (v >> 63U) != 0;
    if (op == dwarf::DW_OP_abs && !negative) return push(v);
    return push(std::uint64_t{0} - v);
  }
  if (!need(2)) return false;
  const std::uint64_t b = pop();
  const std::uint64_t a = pop();
  const auto sa = static_cast<std::int64_t>(a);
  const auto sb = static_cast<std::int64_t>(b);
  switch (op) {
    case dwarf::DW_OP_and:
      return push(a & b);
    case dwarf::DW_OP_or:
      return push(a | b);
    case dwarf::DW_OP_xor:
      return push(a ^ b);
    case dwarf::DW_OP_plus:
      return push(a + b);
    case dwarf::DW_OP_minus:
      return push(a - b);
    case dwarf::DW_OP_mul:
      return push(a * b);
    case dwarf::DW_OP_div:
      if (b == 0) return unknown("division by zero");
      if (sb == -1) return push(std::uint64_t{0} - a);
      return push(static_cast<std::uint64_t>(sa / sb));
    case dwarf::DW_OP_mod:
      if (b == 0) return unknown("division by zero");
      return push(a % b);
    case dwarf::DW_OP_shl:
      return push(b < 64 ? a << b : 0);
    case dwarf::DW_OP_shr:
      return push(b < 64 ? a >> b : 0);
    case dwarf::DW_OP_shra:
      return push(static_cast<std::uint64_t>(sa >> std::min<std::uint64_t>(b, 63)));
    case dwarf::DW_OP_eq:
      return push(a == b ? 1 : 0);
    case dwarf::DW_OP_ne:
      return push(a != b ? 1 : 0);
    case dwarf::DW_OP_lt:
      return push(sa < sb ? 1 : 0);
    case dwarf::DW_OP_le:
      return push(sa <= sb ? 1 : 0);
    case dwarf::DW_OP_gt:
      return push(sa > sb ? 1 : 0);
    case dwarf::DW_OP_ge:
      return push(sa >= sb ? 1 : 0);
    default:
      return unknown("unknown operation " + to_hex(op));
  }
}

bool Machine::step(std::uint8_t op) {
  if (op >= dwarf::DW_OP_lit0 && op <= dwarf::DW_OP_lit31) {
    return push(std::uint64_t{op} - dwarf::DW_OP_lit0);
  }
  if (op >= dwarf::DW_OP_reg0 && op <= dwarf::DW_OP_reg31) {
    register_ = std::uint64_t{op} - dwarf::DW_OP_reg0;
    return true;
  }
  if (op >= dwarf::DW_OP_breg0 && op <= dwarf::DW_OP_breg31) {
    return push_register(std::uint64_t{op} - dwarf::DW_OP_breg0, reader_.sleb());
  }
  switch (op) {
    case dwarf::DW_OP_nop:
      return true;
    case dwarf::DW_OP_addr:
      return push(reader_.u64() + context_.bias);
    case dwarf::DW_OP_addrx:
    case dwarf::DW_OP_GNU_addr_index: {
      const auto address = indexed_address(reader_.uleb());
      return address ? push(*address + context_.bias) : unknown("bad address index");
    }
    case dwarf::DW_OP_constx:
    case dwarf::DW_OP_GNU_const_index: {
      const auto value = indexed_address(reader_.uleb());
      return value ? push(*value) : unknown("bad constant index");
    }
    case dwarf::DW_OP_const1u:
      return push(reader_.u8());
    case dwarf::DW_OP_const1s:
      return push(static_cast<std::uint64_t>(std::int64_t{reader_.fixed<std::int8_t>()}));
    case dwarf::DW_OP_const2u:
      return push(reader_.u16());
    case dwarf::DW_OP_const2s:
      return push(static_cast<std::uint64_t>(std::int64_t{reader_.fixed<std::int16_t>()}));
    case dwarf::DW_OP_const4u:
      return push(reader_.u32());
    case dwarf::DW_OP_const4s:
      return push(static_cast<std::uint64_t>(std::int64_t{reader_.fixed<std::int32_t>()}));
    case dwarf::DW_OP_const8u:
    case dwarf::DW_OP_const8s:
      return push(reader_.u64());
    case dwarf::DW_OP_constu:
      return push(reader_.uleb());
    case dwarf::DW_OP_consts:
      return push(static_cast<std::uint64_t>(reader_.sleb()));
    case dwarf::DW_OP_dup:
      return need(1) && push(stack_.back());
    case dwarf::DW_OP_drop:
      if (!need(1)) return false;
      stack_.pop_back();
      return true;
    case dwarf::DW_OP_over:
      return need(2) && push(stack_[stack_.size() - 2]);
    case dwarf::DW_OP_pick: {
      const std::size_t index = reader_.u8();
      return need(index + 1) && push(stack_[stack_.size() - 1 - index]);
    }
    case dwarf::DW_OP_swap:
      if (!need(2)) return false;
      std::swap(stack_[stack_.size() - 1], stack_[stack_.size() - 2]);
      return true;
    case dwarf::DW_OP_rot: {
      if (!need(3)) return false;
      std::rotate(stack_.end() - 3, stack_.end() - 1, stack_.end());
      return true;
    }
    case dwarf::DW_OP_deref:
      return dereference(8);
    case dwarf::DW_OP_deref_size:
      return dereference(reader_.u8());
    case dwarf::DW_OP_deref_type:
    case kGnuDerefType: {
      const std::uint64_t size = reader_.u8();
      reader_.uleb();
      return dereference(size);
    }
    case dwarf::DW_OP_plus_uconst: {
      if (!need(1)) return false;
      const std::uint64_t value = pop();
      return push(value + reader_.uleb());
    }
    case dwarf::DW_OP_skip:
    case dwarf::DW_OP_bra: {
      const std::int64_t delta = reader_.fixed<std::int16_t>();
      if (op == dwarf::DW_OP_bra) {
        if (!need(1)) return false;
        if (pop() == 0) return true;
      }
      const std::int64_t target = static_cast<std::int64_t>(reader_.offset()) + delta;
      if (!reader_.ok() || target < 0) return unknown("branch out of the expression");
      reader_.seek(static_cast<std::size_t>(target));
      return reader_.ok() || unknown("branch out of the expression");
    }
    case dwarf::DW_OP_regx:
      register_ = reader_.uleb();
      return true;
    case dwarf::DW_OP_bregx: {
      const std::uint64_t number = reader_.uleb();
      return push_register(number, reader_.sleb());
    }
    case dwarf::DW_OP_regval_type:
    case kGnuRegvalType: {
      const std::uint64_t number = reader_.uleb();
      const std::uint64_t type = reader_.uleb();
      return push_register(number, 0) && convert(type);
    }
    case dwarf::DW_OP_fbreg: {
      const std::int64_t offset = reader_.sleb();
      const auto base = context_.frame_base ? context_.frame_base() : std::nullopt;
      if (!base) return unknown("the frame base is not known");
      return push(*base + static_cast<std::uint64_t>(offset));
    }
    case dwarf::DW_OP_call_frame_cfa:
      return context_.cfa ? push(context_.cfa->value) : unknown("the frame's CFA is not known");
    case dwarf::DW_OP_const_type:
    case kGnuConstType: {
      reader_.uleb();
      const std::uint64_t size = reader_.u8();
      const auto bytes = reader_.bytes(size);
      if (!reader_.ok() || size > 8) return unknown("a typed constant wider than 8 bytes");
      std::uint64_t value = 0;
      if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
      return push(value);
    }
    case dwarf::DW_OP_convert:
    case kGnuConvert:
    case dwarf::DW_OP_reinterpret:
    case kGnuReinterpret:
      return convert(reader_.uleb());
    case dwarf::DW_OP_entry_value:
    case dwarf::DW_OP_GNU_entry_value: {
      const auto inner = reader_.bytes(reader_.uleb());
      if (!reader_.ok()) return unknown("malformed expression");
      const auto value = context_.entry_value ? context_.entry_value(inner) : std::nullopt;
      if (!value) {
        return fail(LocationKind::optimized_out,
                    "optimized out (its value on entry cannot be recovered)");
      }
      return push(*value);
    }
    case dwarf::DW_OP_form_tls_address:
    case dwarf::DW_OP_GNU_push_tls_address: {
      if (!need(1)) return false;
      const std::uint64_t offset = pop();
      const auto address =
          context_.thread_local_address ? context_.thread_local_address(offset) : std::nullopt;
      tls_ = !address.has_value();
      return push(address ? address->value : offset);
    }
    case dwarf::DW_OP_stack_value:
      is_value_ = true;
      return need(1);
    case dwarf::DW_OP_implicit_value: {
      const std::uint64_t size = reader_.uleb();
      if (size > kMaxImplicitBytes) return unknown("implicit value too long");
      const auto bytes = reader_.bytes(size);
      implicit_ = std::vector<std::byte>(bytes.begin(), bytes.end());
      return true;
    }
    case dwarf::DW_OP_implicit_pointer:
    case kGnuImplicitPointer:
      reader_.skip(context_.unit != nullptr ? context_.unit->getDwarfOffsetByteSize() : 4);
      reader_.sleb();
      lost_ = true;
      return true;
    case dwarf::DW_OP_piece:
    case dwarf::DW_OP_bit_piece: {
      std::uint64_t size = reader_.uleb();
      if (op == dwarf::DW_OP_bit_piece) {
        const std::uint64_t bit_offset = reader_.uleb();
        if (size % 8 != 0 || bit_offset != 0) return unknown("pieces of odd bits");
        size /= 8;
      }
      if (!reader_.ok()) return unknown("malformed expression");
      if (pieces.size() == kMaxPieces) return unknown("too many pieces");
      LocationPiece piece = take_piece(size);
      piece.offset = pieces.empty() ? 0 : pieces.back().offset + pieces.back().size;
      pieces.push_back(std::move(piece));
      stack_.clear();
      register_.reset();
      implicit_.reset();
      is_value_ = tls_ = lost_ = false;
      return true;
    }
    case kGnuParameterRef:
    case kGnuVariableValue:
      return fail(LocationKind::optimized_out, "optimized out");
    default:
      return arithmetic(op);
  }
}

bool Machine::run(std::uint64_t size) {
  for (int steps = 0; !reader_.at_end(); ++steps) {
    if (steps == kMaxSteps) return unknown("expression does not end");
    const std::uint8_t op = reader_.u8();
    if (!step(op)) return false;
    if (!reader_.ok()) return unknown("malformed expression");
  }
  if (!reader_.ok()) return unknown("malformed expression");
  if (pieces.empty()) pieces.push_back(take_piece(size));
  return true;
}

}  // namespace

VariableLocation evaluate_location(std::span<const std::byte> expression, std::uint64_t size,
                                   const ExpressionContext& context) {
  Machine machine(expression, context);
  VariableLocation location;
  if (machine.run(size)) {
    location.pieces = std::move(machine.pieces);
  } else {
    LocationPiece piece;
    piece.kind = machine.failed_kind();
    piece.note = machine.failure();
    piece.size = size;
    location.pieces.push_back(std::move(piece));
  }
  return location;
}

std::optional<std::uint64_t> evaluate_value(std::span<const std::byte> expression,
                                            const ExpressionContext& context) {
  Machine machine(expression, context);
  if (!machine.run(8)) return std::nullopt;
  if (machine.pieces.size() == 1 && machine.pieces[0].kind == LocationKind::gpr &&
      context.registers != nullptr) {
    return context.registers->get(*machine.pieces[0].reg);
  }
  return machine.top();
}

}  // namespace culprit::binary
