#include "binary/debug_type.h"

#include <algorithm>
#include <utility>

#include "binary/binary.h"
#include "binary/byte_reader.h"
#include "llvm/BinaryFormat/Dwarf.h"

namespace culprit::binary {
namespace {

namespace dwarf = llvm::dwarf;
using llvm::DWARFDie;
using llvm::DWARFUnit;

constexpr int kMaxTypeDepth = 64;
constexpr std::size_t kMaxMembers = 65536;
constexpr std::size_t kMaxName = 2048;

DWARFDie die_of(const Type& type) {
  if (!type.valid()) return {};
  return {static_cast<DWARFUnit*>(type.unit()),
          static_cast<const llvm::DWARFDebugInfoEntry*>(type.entry())};
}

Type type_of(Binary* binary, const DWARFDie& die) {
  if (!die) return {};
  return {binary, die.getDwarfUnit(), die.getDebugInfoEntry()};
}

Type referenced_type(const Type& type) {
  return type_of(type.binary(), die_reference(die_of(type), dwarf::DW_AT_type));
}

bool is_c(std::uint64_t language) { return language_name(language) == "C"; }

std::string_view keyword_of(dwarf::Tag tag) {
  switch (tag) {
    case dwarf::DW_TAG_structure_type:
      return "struct";
    case dwarf::DW_TAG_class_type:
      return "class";
    case dwarf::DW_TAG_union_type:
      return "union";
    case dwarf::DW_TAG_enumeration_type:
      return "enum";
    default:
      return "";
  }
}

// Element counts of all dimensions, outermost first; nothing for an unknown bound.
std::vector<std::optional<std::uint64_t>> dimensions(const DWARFDie& array) {
  std::vector<std::optional<std::uint64_t>> result;
  for (const DWARFDie child : array.children()) {
    if (child.getTag() != dwarf::DW_TAG_subrange_type) continue;
    if (result.size() == 16) break;
    std::optional<std::uint64_t> count = die_unsigned(child, dwarf::DW_AT_count);
    if (!count) {
      const auto upper = die_unsigned(child, dwarf::DW_AT_upper_bound);
      const auto lower = die_unsigned(child, dwarf::DW_AT_lower_bound).value_or(0);
      // gcc writes upper bound -1 for zero-length arrays.
      if (upper && *upper - lower + 1 <= (std::uint64_t{1} << 48)) count = *upper - lower + 1;
    }
    result.push_back(count);
  }
  if (result.empty()) result.emplace_back();
  return result;
}

// A C declarator in two parts: what stands before the name and what after it.
struct Declarator {
  std::string before;
  std::string after;
};

Declarator declarator(const DWARFDie& die, int depth);

std::string type_text(const DWARFDie& die, int depth) {
  Declarator d = declarator(die, depth);
  return d.before + d.after;
}

std::string parameters_text(const DWARFDie& function, int depth) {
  std::string text = "(";
  int count = 0;
  for (const DWARFDie child : function.children()) {
    if (child.getTag() == dwarf::DW_TAG_unspecified_parameters) {
      text += count > 0 ? ", ..." : "...";
      break;
    }
    if (child.getTag() != dwarf::DW_TAG_formal_parameter) continue;
    if (++count > 32 || text.size() > kMaxName) {
      text += ", …";
      break;
    }
    if (count > 1) text += ", ";
    text += type_text(die_reference(child, dwarf::DW_AT_type), depth + 1);
  }
  return text + ")";
}

Declarator declarator(const DWARFDie& die, int depth) {
  if (!die) return {"void", ""};
  if (depth > kMaxTypeDepth) return {"…", ""};
  const std::string_view name = die_name(die);
  const DWARFDie inner = die_reference(die, dwarf::DW_AT_type);
  switch (die.getTag()) {
    case dwarf::DW_TAG_structure_type:
    case dwarf::DW_TAG_class_type:
    case dwarf::DW_TAG_union_type:
    case dwarf::DW_TAG_enumeration_type: {
      const std::string keyword(keyword_of(die.getTag()));
      if (name.empty()) return {keyword + " (anonymous)", ""};
      if (is_c(die_language(die))) return {keyword + " " + std::string(name), ""};
      return {die_qualified_name(die), ""};
    }
    case dwarf::DW_TAG_pointer_type:
    case dwarf::DW_TAG_reference_type:
    case dwarf::DW_TAG_rvalue_reference_type: {
      if (!name.empty()) return {std::string(name), ""};  // Go, Rust
      const char* mark = die.getTag() == dwarf::DW_TAG_pointer_type     ? "*"
                         : die.getTag() == dwarf::DW_TAG_reference_type ? "&"
                                                                        : "&&";
      Declarator d = declarator(inner, depth + 1);
      const bool wrap = !d.after.empty();
      d.before += wrap ? std::string(" (") + mark : std::string(mark);
      if (wrap) d.after.insert(0, ")");
      return d;
    }
    case dwarf::DW_TAG_const_type:
    case dwarf::DW_TAG_volatile_type:
    case dwarf::DW_TAG_restrict_type:
    case dwarf::DW_TAG_atomic_type: {
      const char* word = die.getTag() == dwarf::DW_TAG_const_type      ? "const"
                         : die.getTag() == dwarf::DW_TAG_volatile_type ? "volatile"
                         : die.getTag() == dwarf::DW_TAG_restrict_type ? "restrict"
                                                                       : "_Atomic";
      Declarator d = declarator(inner, depth + 1);
      const bool pointer = !d.before.empty() && (d.before.back() == '*' || d.before.back() == '&');
      d.before = pointer ? d.before + " " + word : std::string(word) + " " + d.before;
      return d;
    }
    case dwarf::DW_TAG_array_type: {
      if (!name.empty()) return {std::string(name), ""};
      Declarator d = declarator(inner, depth + 1);
      std::string bounds;
      for (const auto& count : dimensions(die)) {
        bounds += count ? "[" + std::to_string(*count) + "]" : "[]";
      }
      d.after.insert(0, bounds);
      return d;
    }
    case dwarf::DW_TAG_subroutine_type: {
      if (!name.empty()) return {std::string(name), ""};
      Declarator d = declarator(inner, depth + 1);
      d.after.insert(0, parameters_text(die, depth));
      return d;
    }
    case dwarf::DW_TAG_ptr_to_member_type:
      return {type_text(inner, depth + 1) + " " +
                  type_text(die_reference(die, dwarf::DW_AT_containing_type), depth + 1) + "::*",
              ""};
    case dwarf::DW_TAG_typedef:
      return {die_qualified_name(die), ""};
    default:
      return {name.empty() ? "?" : std::string(name), ""};
  }
}

bool is_declaration(const DWARFDie& die) {
  return die && die_unsigned(die, dwarf::DW_AT_declaration).value_or(0) != 0;
}

bool is_aggregate(dwarf::Tag tag) {
  return tag == dwarf::DW_TAG_structure_type || tag == dwarf::DW_TAG_class_type ||
         tag == dwarf::DW_TAG_union_type;
}

// "struct X" → "X", and the tag wanted.
std::pair<std::string_view, std::optional<dwarf::Tag>> split_keyword(std::string_view name) {
  static constexpr std::pair<std::string_view, dwarf::Tag> kKeywords[] = {
      {"struct ", dwarf::DW_TAG_structure_type},
      {"class ", dwarf::DW_TAG_class_type},
      {"union ", dwarf::DW_TAG_union_type},
      {"enum ", dwarf::DW_TAG_enumeration_type},
  };
  for (const auto& [keyword, tag] : kKeywords) {
    if (name.substr(0, keyword.size()) == keyword) return {name.substr(keyword.size()), tag};
  }
  return {name, std::nullopt};
}

// Outside of template arguments: "a::b<c::d>" → "b<c::d>".
std::string_view last_component(std::string_view name) {
  int depth = 0;
  for (std::size_t i = name.size(); i > 1; --i) {
    const char c = name[i - 1];
    if (c == '>') ++depth;
    if (c == '<') --depth;
    if (depth == 0 && c == ':' && name[i - 2] == ':') return name.substr(i);
  }
  return name;
}

Type find_in_binary(Binary& binary, std::string_view full_name) {
  if (const auto it = binary.types_by_name.find(full_name); it != binary.types_by_name.end()) {
    return it->second;
  }
  // Not by a structured binding: clang 14 does not capture those.
  const auto split = split_keyword(full_name);
  const auto name = split.first;
  const auto tag = split.second;
  const std::string_view last = last_component(name);
  Type best;
  DwarfIndex* index = binary.dwarf();
  if (index != nullptr && !last.empty()) {
    const auto look_into = [&](DWARFUnit* unit) {
      const unsigned count = unit->getNumDIEs();
      for (unsigned i = 0; i < count; ++i) {
        const DWARFDie die = unit->getDIEAtIndex(i);
        if (!is_named_type(die.getTag()) || (tag && die.getTag() != *tag)) continue;
        if (die_name(die) != last) continue;
        if (last.size() != name.size() && die_qualified_name(die) != name) continue;
        if (is_declaration(die)) {
          if (!best.valid()) best = type_of(&binary, die);
          continue;
        }
        // C gives "typedef struct X X": the tag wins over the typedef of the same name.
        best = type_of(&binary, die);
        if (die.getTag() != dwarf::DW_TAG_typedef) break;
      }
      const DWARFDie found = die_of(best);
      return found && !is_declaration(found);
    };
    // Only the units that define it need their entries made; one that declares it, if none does.
    constexpr std::size_t kMostDeclaring = 8;
    std::vector<DWARFUnit*> declaring;
    bool defined = false;
    for (DWARFUnit* unit : index->units_mentioning(last)) {
      using Mention = CheckedDwarfContext::TypeMention;
      const Mention mention = CheckedDwarfContext::of(*unit).type_mention(*unit, last);
      if (mention == Mention::declaration && declaring.size() < kMostDeclaring) {
        declaring.push_back(unit);
      }
      defined = mention == Mention::definition && look_into(unit);
      if (defined) break;
    }
    for (std::size_t i = 0; !defined && !best.valid() && i < declaring.size(); ++i) {
      look_into(declaring[i]);
    }
  }
  if (binary.types_by_name.size() < 65536) binary.types_by_name.emplace(full_name, best);
  return best;
}

// The definition that a declaration stands for; the type itself if there is none.
Type resolve_declaration(const Type& type) {
  const DWARFDie die = die_of(type);
  if (!is_declaration(die)) return type;
  if (const DWARFDie by_signature = die_reference(die, dwarf::DW_AT_signature)) {
    return type_of(type.binary(), by_signature);
  }
  const std::string name = die_qualified_name(die);
  if (name.empty()) return type;
  const std::string_view keyword = keyword_of(die.getTag());
  Type found = find_in_binary(*type.binary(), std::string(keyword) + " " + name);
  if (!found.valid() && die.getTag() == dwarf::DW_TAG_class_type) {
    found = find_in_binary(*type.binary(), "struct " + name);
  } else if (!found.valid() && die.getTag() == dwarf::DW_TAG_structure_type) {
    found = find_in_binary(*type.binary(), "class " + name);
  }
  return found.valid() && !is_declaration(die_of(found)) ? found : type;
}

// DW_AT_data_member_location: a constant, or an expression of one addition.
std::optional<std::uint64_t> member_offset(const DWARFDie& member) {
  const auto value = member.find(dwarf::DW_AT_data_member_location);
  if (!value) return 0;
  if (const auto constant = value->getAsUnsignedConstant()) return *constant;
  if (const auto block = value->getAsBlock(); block && !block->empty()) {
    ByteReader reader(std::span(reinterpret_cast<const std::byte*>(block->data()), block->size()));
    const std::uint8_t op = reader.u8();
    const std::uint64_t number = reader.uleb();
    if (reader.ok() && reader.at_end() &&
        (op == dwarf::DW_OP_plus_uconst || op == dwarf::DW_OP_constu)) {
      return number;
    }
  }
  return std::nullopt;  // virtual base classes: found at run time only
}

std::optional<Member> read_member(Binary* binary, const DWARFDie& die) {
  const dwarf::Tag tag = die.getTag();
  if (tag != dwarf::DW_TAG_member && tag != dwarf::DW_TAG_inheritance) return std::nullopt;
  // Static members are declared as members in DWARF 4.
  if (die_unsigned(die, dwarf::DW_AT_external) || is_declaration(die)) return std::nullopt;
  const auto offset = member_offset(die);
  if (!offset) return std::nullopt;
  Member member;
  member.name = std::string(die_name(die));
  member.offset = *offset;
  member.type = type_of(binary, die_reference(die, dwarf::DW_AT_type));
  member.size = member.type.size().value_or(0);
  member.is_base = tag == dwarf::DW_TAG_inheritance;
  if (DwarfIndex* index = binary->dwarf()) member.declared = index->declaration(die);
  if (const auto bits = die_unsigned(die, dwarf::DW_AT_bit_size); bits && *bits != 0) {
    member.bit_size = static_cast<std::uint32_t>(std::min<std::uint64_t>(*bits, 4096));
    std::uint64_t bit = 0;
    if (const auto data_bit = die_unsigned(die, dwarf::DW_AT_data_bit_offset)) {
      bit = *data_bit;
    } else if (const auto old = die_unsigned(die, dwarf::DW_AT_bit_offset)) {
      // DWARF 2/3: counted from the most significant bit of the storage unit.
      const std::uint64_t unit =
          die_unsigned(die, dwarf::DW_AT_byte_size).value_or(member.size) * 8;
      bit = *offset * 8 + unit - *old - *bits;
    } else {
      bit = *offset * 8;
    }
    if (bit > (std::uint64_t{1} << 31)) return std::nullopt;
    member.bit_offset = static_cast<std::uint32_t>(bit);
    // The storage unit that holds the field, for a reader of the whole scalar.
    if (member.size != 0) member.offset = bit / 8 / member.size * member.size;
  }
  return member;
}

void collect_members(Binary* binary, const DWARFDie& die, std::vector<Member>& members) {
  for (const DWARFDie child : die.children()) {
    if (members.size() == kMaxMembers) return;
    if (child.getTag() == dwarf::DW_TAG_variant_part) {
      // Rust enums: the members of all variants overlap, as in a union.
      for (const DWARFDie variant : child.children()) {
        if (variant.getTag() == dwarf::DW_TAG_member) {
          if (auto member = read_member(binary, variant)) members.push_back(std::move(*member));
        }
        if (variant.getTag() != dwarf::DW_TAG_variant) continue;
        for (const DWARFDie inner : variant.children()) {
          if (members.size() == kMaxMembers) return;
          if (auto member = read_member(binary, inner)) members.push_back(std::move(*member));
        }
      }
      continue;
    }
    if (auto member = read_member(binary, child)) members.push_back(std::move(*member));
  }
}

std::optional<Member> find_member(const Type& type, std::string_view name, int depth) {
  if (depth > 16) return std::nullopt;
  const std::vector<Member> members = type.members();
  for (const Member& m : members) {
    if (!m.is_base && m.name == name) return m;
  }
  for (const Member& m : members) {
    if (!m.is_base && !m.name.empty()) continue;
    if (auto inner = find_member(m.type, name, depth + 1)) {
      inner->offset += m.offset;
      if (inner->bit_offset) *inner->bit_offset += static_cast<std::uint32_t>(m.offset * 8);
      return inner;
    }
  }
  return std::nullopt;
}

// "struct X" rather than a typedef or "const struct X"; the typedef's name for an anonymous one.
std::string aggregate_name(const Type& as_used, const Type& aggregate) {
  return die_name(die_of(aggregate)).empty() ? as_used.name() : aggregate.name();
}

}  // namespace

TypeKind Type::kind() const {
  const DWARFDie die = die_of(*this);
  if (!die) return TypeKind::unknown;
  switch (die.getTag()) {
    case dwarf::DW_TAG_base_type:
    case dwarf::DW_TAG_unspecified_type:
      return TypeKind::base;
    case dwarf::DW_TAG_pointer_type:
    case dwarf::DW_TAG_ptr_to_member_type:
      return TypeKind::pointer;
    case dwarf::DW_TAG_reference_type:
    case dwarf::DW_TAG_rvalue_reference_type:
      return TypeKind::reference;
    case dwarf::DW_TAG_structure_type:
      return TypeKind::structure;
    case dwarf::DW_TAG_class_type:
      return TypeKind::class_type;
    case dwarf::DW_TAG_union_type:
      return TypeKind::union_type;
    case dwarf::DW_TAG_enumeration_type:
      return TypeKind::enumeration;
    case dwarf::DW_TAG_array_type:
      return TypeKind::array;
    case dwarf::DW_TAG_subroutine_type:
      return TypeKind::function;
    case dwarf::DW_TAG_typedef:
      return TypeKind::alias;
    case dwarf::DW_TAG_const_type:
    case dwarf::DW_TAG_volatile_type:
    case dwarf::DW_TAG_restrict_type:
    case dwarf::DW_TAG_atomic_type:
      return TypeKind::qualified;
    default:
      return TypeKind::unknown;
  }
}

std::string Type::name() const {
  std::string text = type_text(die_of(*this), 0);
  if (text.size() > kMaxName) text.resize(kMaxName);
  return text;
}

Type Type::target() const { return referenced_type(*this); }

Type Type::stripped() const {
  Type current = *this;
  for (int step = 0; step < kMaxTypeDepth; ++step) {
    const TypeKind kind = current.kind();
    if (kind != TypeKind::alias && kind != TypeKind::qualified) break;
    current = current.target();
  }
  return resolve_declaration(current);
}

std::optional<std::uint64_t> Type::size() const {
  std::uint64_t factor = 1;
  Type current = stripped();
  for (int step = 0; step < kMaxTypeDepth; ++step) {
    const DWARFDie die = die_of(current);
    if (!die) return std::nullopt;
    if (const auto bytes = die_unsigned(die, dwarf::DW_AT_byte_size)) {
      if (*bytes != 0 && factor > ~std::uint64_t{0} / *bytes) return std::nullopt;
      return *bytes * factor;
    }
    switch (current.kind()) {
      case TypeKind::pointer:
      case TypeKind::reference:
        return 8 * factor;
      case TypeKind::array:
        for (const auto& count : dimensions(die)) {
          if (!count) return std::nullopt;
          if (*count != 0 && factor > (std::uint64_t{1} << 48) / *count) return std::nullopt;
          factor *= *count;
        }
        current = current.target().stripped();
        break;
      case TypeKind::enumeration:
        current = current.target().stripped();
        break;
      default:
        return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> Type::array_count() const {
  const Type array = stripped();
  if (array.kind() != TypeKind::array) return std::nullopt;
  return dimensions(die_of(array)).front();
}

std::vector<Member> Type::members() const {
  std::vector<Member> members;
  const Type aggregate = stripped();
  const DWARFDie die = die_of(aggregate);
  if (!die || !is_aggregate(die.getTag())) return members;
  collect_members(binary_, die, members);
  std::stable_partition(members.begin(), members.end(), [](const Member& m) { return m.is_base; });
  return members;
}

std::optional<Member> Type::member(std::string_view name) const {
  return find_member(*this, name, 0);
}

std::string Type::language() const { return language_name(die_language(die_of(*this))); }

SourcePosition Type::declared() const {
  const DWARFDie die = die_of(stripped());
  if (!die) return {};
  DwarfIndex* index = binary_->dwarf();
  return index != nullptr ? index->declaration(die) : SourcePosition{};
}

std::string plain_pointer_name(const Type& type) {
  std::string name = type.name();
  // "std::__uniq_ptr_impl<T, std::default_delete<T> >::pointer" is a library's word for T*.
  if (type.kind() != TypeKind::alias || !name.starts_with("std::")) return name;
  const Type plain = type.stripped();
  return plain.kind() == TypeKind::pointer ? plain.name() : name;
}

std::optional<TypePath> describe_in_type(const Type& type, std::uint64_t offset) {
  TypePath path;
  Type current = type;
  std::uint64_t base = 0;  // where `current` begins
  const auto total = type.size();
  if (total && offset >= *total) return std::nullopt;
  if (!type.valid()) return std::nullopt;
  for (int depth = 0; depth < kMaxTypeDepth; ++depth) {
    const Type plain = current.stripped();
    const TypeKind kind = plain.kind();
    const std::uint64_t inside = offset - base;
    if (kind == TypeKind::array) {
      const Type element = plain.target();
      const auto size = element.size();
      if (!size || *size == 0) break;
      const auto counts = dimensions(die_of(plain));
      std::uint64_t index = inside / *size;
      base += index * *size;
      std::string subscripts;
      for (std::size_t d = counts.size(); d-- > 1;) {
        const std::uint64_t count = counts[d].value_or(0);
        if (count == 0) break;
        subscripts.insert(0, "[" + std::to_string(index % count) + "]");
        index /= count;
      }
      path.path += "[" + std::to_string(index) + "]" + subscripts;
      current = element;
      continue;
    }
    if (kind == TypeKind::structure || kind == TypeKind::class_type ||
        kind == TypeKind::union_type) {
            std::optional<Member> hit;
      for (Member& m : plain.members()) {
        // An empty base class shares its byte with a member: that is the one that holds something.
        const bool may_share = hit && hit->is_base && kind != TypeKind::union_type;
        if (may_share && m.size <= hit->size) continue;
        if (m.bit_size != 0 && m.bit_offset) {
          const std::uint64_t first = *m.bit_offset / 8;
          const std::uint64_t last = (std::uint64_t{*m.bit_offset} + m.bit_size - 1) / 8;
          if (inside >= first && inside <= last) hit = std::move(m);
        } else if (inside >= m.offset &&
                   (inside - m.offset < m.size ||
                    // A flexible array member has no size and takes what follows.
                    (m.size == 0 && m.type.stripped().kind() == TypeKind::array))) {
                    hit = std::move(m);
        }
        if (hit && !(hit->is_base && hit->size == 1)) break;
      }
      if (!hit) {
        path.padding = true;
        path.container = plain;
        path.container_type = aggregate_name(current, plain);
        path.offset = offset;
        path.type_name = "padding";
        return path;
      }
      if (!hit->is_base) {
        if (!hit->name.empty()) {
          path.path += "." + hit->name;
          path.field = hit->name;
          path.container = plain;
          path.container_type = aggregate_name(current, plain);
          path.field_declared = hit->declared;
        }
      }
      base += hit->offset;
      if (hit->bit_size != 0) {
        path.type = hit->type;
        path.type_name = hit->type.name();
        path.bit_size = hit->bit_size;
        path.offset = base;
        path.size = hit->size;
        path.offset_in_scalar = offset >= base ? offset - base : 0;
        return path;
      }
      current = hit->type;
      continue;
    }
    break;
  }
  path.type = current;
  path.type_name = plain_pointer_name(current);
  path.offset = base;
  path.size = current.size().value_or(0);
  path.offset_in_scalar = offset - base;
  return path;
}

std::optional<Type> find_type(const ModuleMap& map, std::string_view name, const Module* only) {
  std::optional<Type> declaration;
  for (const auto& module : map.modules()) {
    if (module->binary == nullptr || (only != nullptr && module.get() != only)) continue;
    const Type found = find_in_binary(*module->binary, name);
    if (!found.valid()) continue;
    if (!is_declaration(die_of(found))) return found;
    if (!declaration) declaration = found;
  }
  return declaration;
}

}  // namespace culprit::binary
