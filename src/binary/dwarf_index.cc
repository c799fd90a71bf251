#include "binary/dwarf_index.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <unordered_set>

#include "binary/byte_reader.h"
#include "llvm/BinaryFormat/Dwarf.h"
#include "llvm/DebugInfo/DWARF/DWARFTypeUnit.h"

namespace culprit::binary {
namespace {

using llvm::DWARFDie;
using llvm::DWARFUnit;
namespace dwarf = llvm::dwarf;

constexpr int kMaxOriginSteps = 16;
constexpr std::size_t kMaxScopeDepth = 256;
constexpr std::size_t kMaxRangesPerDie = 1U << 16;
constexpr std::uint64_t kSmallDebugInfo = 16U << 20;

void ignore(llvm::Error error) { llvm::consumeError(std::move(error)); }

}  // namespace

std::string_view die_name(const DWARFDie& die) {
  if (!die) return {};
  const auto value = die.find(dwarf::DW_AT_name);
  const llvm::StringRef name = dwarf::toStringRef(value);
  return {name.data(), name.size()};
}

DWARFDie die_reference(const DWARFDie& die, dwarf::Attribute attribute) {
  if (!die) return {};
  const auto value = die.find(attribute);
  if (!value) return {};
  // References into a supplementary file (DW_FORM_GNU_ref_alt, DW_FORM_ref_sup*) are not followed.
  if (value->getAsSupplementaryReference()) return {};
  // The entry may lie in another unit: that one must have been checked before LLVM reads it.
  DWARFUnit* unit = die.getDwarfUnit();
  CheckedDwarfContext& context = CheckedDwarfContext::of(*unit);
  DWARFDie target;
  if (value->getForm() == dwarf::DW_FORM_ref_sig8) {
    auto* types =
        context.getTypeUnitForHash(unit->getVersion(), value->getRawUValue(), unit->isDWOUnit());
    if (types != nullptr && context.usable(*types)) {
      target = types->getDIEForOffset(types->getOffset() + types->getTypeOffset());
    }
  } else if (const auto offset = value->getAsDebugInfoReference()) {
    DWARFUnit* other = unit->getUnitVector().getUnitForOffset(*offset);
    if (other != nullptr && context.usable(*other)) target = other->getDIEForOffset(*offset);
  } else if (const auto relative = value->getAsRelativeReference()) {
    target = unit->getDIEForOffset(unit->getOffset() + *relative);
  }
  if (!target || target.isNULL()) return {};
  // A type that lives in a type unit leaves a stub which only names it.
  if (attribute != dwarf::DW_AT_signature && target.find(dwarf::DW_AT_signature)) {
    if (const DWARFDie definition = die_reference(target, dwarf::DW_AT_signature)) {
      return definition;
    }
  }
  return target;
}

DWARFDie die_origin(const DWARFDie& die) {
  DWARFDie current = die;
  for (int step = 0; step < kMaxOriginSteps && current; ++step) {
    DWARFDie next = die_reference(current, dwarf::DW_AT_abstract_origin);
    if (!next) next = die_reference(current, dwarf::DW_AT_specification);
    if (!next) return current;
    current = next;
  }
  return current;
}

namespace {

// The first entry along abstract origins and specifications for which `get` gives something.
template <typename Get>
auto along_origin(const DWARFDie& die, Get get) -> decltype(get(die)) {
  DWARFDie current = die;
  for (int step = 0; step < kMaxOriginSteps && current; ++step) {
    auto value = get(current);
    if (!(value == decltype(value){})) return value;
    DWARFDie next = die_reference(current, dwarf::DW_AT_abstract_origin);
    if (!next) next = die_reference(current, dwarf::DW_AT_specification);
    current = next;
  }
  return {};
}

}  // namespace

std::string_view die_name_through_origin(const DWARFDie& die) {
  return along_origin(die, [](const DWARFDie& d) { return die_name(d); });
}

std::string_view die_linkage_name(const DWARFDie& die) {
  return along_origin(die, [](const DWARFDie& d) {
    const llvm::StringRef name =
        dwarf::toStringRef(d.find({dwarf::DW_AT_linkage_name, dwarf::DW_AT_MIPS_linkage_name}));
    return std::string_view(name.data(), name.size());
  });
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> die_ranges(const DWARFDie& die) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> result;
  if (!die) return result;
  auto ranges = die.getAddressRanges();
  if (!ranges) {
    ignore(ranges.takeError());
    return result;
  }
  for (const auto& r : *ranges) {
    if (r.LowPC >= r.HighPC) continue;
    if (result.size() == kMaxRangesPerDie) break;
    result.emplace_back(r.LowPC, r.HighPC);
  }
  return result;
}

std::optional<std::uint64_t> die_unsigned(const DWARFDie& die, dwarf::Attribute attribute) {
  if (!die) return std::nullopt;
  const auto value = die.find(attribute);
  if (!value) return std::nullopt;
  if (const auto number = value->getAsUnsignedConstant()) return *number;
  if (const auto number = value->getAsSignedConstant()) {
    return static_cast<std::uint64_t>(*number);
  }
  return std::nullopt;
}

std::uint64_t die_language(const DWARFDie& die) {
  if (!die) return 0;
  return die_unsigned(die.getDwarfUnit()->getUnitDIE(), dwarf::DW_AT_language).value_or(0);
}

std::string language_name(std::uint64_t language) {
  switch (language) {
    case dwarf::DW_LANG_C:
    case dwarf::DW_LANG_C89:
    case dwarf::DW_LANG_C99:
    case dwarf::DW_LANG_C11:
    case dwarf::DW_LANG_C17:
      return "C";
    case dwarf::DW_LANG_C_plus_plus:
    case dwarf::DW_LANG_C_plus_plus_03:
    case dwarf::DW_LANG_C_plus_plus_11:
    case dwarf::DW_LANG_C_plus_plus_14:
    case dwarf::DW_LANG_C_plus_plus_17:
    case dwarf::DW_LANG_C_plus_plus_20:
      return "C++";
    case dwarf::DW_LANG_Go:
      return "Go";
    case dwarf::DW_LANG_Rust:
      return "Rust";
    case dwarf::DW_LANG_OCaml:
      return "OCaml";
    case dwarf::DW_LANG_D:
      return "D";
    case dwarf::DW_LANG_Swift:
      return "Swift";
    case dwarf::DW_LANG_Mips_Assembler:
      return "assembly";
    default:
      break;
  }
  const llvm::StringRef text = dwarf::LanguageString(static_cast<unsigned>(language & 0xFFFFU));
  return text.empty() ? std::string() : text.drop_front(text.starts_with("DW_LANG_") ? 8 : 0).str();
}

std::string die_qualified_name(const DWARFDie& die) {
  // Where the name is declared decides: a definition outside its class refers to the declaration.
  DWARFDie named = die_origin(die);
  std::string name(die_name(named));
  if (name.empty()) return name;
  int depth = 0;
  for (DWARFDie parent = named.getParent(); parent && depth < 64;
       parent = parent.getParent(), ++depth) {
    switch (parent.getTag()) {
      case dwarf::DW_TAG_namespace:
      case dwarf::DW_TAG_structure_type:
      case dwarf::DW_TAG_class_type:
      case dwarf::DW_TAG_union_type: {
        const std::string_view part = die_name(parent);
        if (part.empty() && parent.getTag() != dwarf::DW_TAG_namespace) break;
        name.insert(0, "::");
        name.insert(0, part.empty() ? std::string_view("(anonymous namespace)") : part);
        break;
      }
      default:
        break;
    }
    if (name.size() > 8192) break;
  }
  return name;
}

std::unique_ptr<DwarfIndex> DwarfIndex::create(ElfFile& file,
                                               std::vector<std::string> module_paths) {
  std::unique_ptr<DwarfIndex> index(new DwarfIndex);
  index->file_ = &file;
  // Each section named here is decompressed when the index is made.
  const auto load = [&](const std::string& name) {
    const auto bytes = file.contents_of(".debug_" + name);
    return bytes.empty() ? file.contents_of(".zdebug_" + name) : bytes;
  };
  DwarfSections& s = index->sections_;
  s.info = load("info");
  s.abbrev = load("abbrev");
  if (s.info.empty() || s.abbrev.empty()) return nullptr;
  s.types = load("types");
  s.str = load("str");
  s.line_str = load("line_str");
  s.str_offsets = load("str_offsets");
  s.addr = load("addr");
  s.ranges = load("ranges");
  s.rnglists = load("rnglists");
  s.loc = load("loc");
  s.loclists = load("loclists");
  index->line_ = load("line");
  index->context_ = std::make_unique<CheckedDwarfContext>(s);
  index->split_ = std::make_unique<SplitDwarf>(*index->context_, std::move(module_paths));
  return index;
}

DWARFUnit* DwarfIndex::unit_for_offset(std::uint64_t offset) {
  auto units = context_->info_section_units();
  auto it = std::partition_point(units.begin(), units.end(),
                                 [&](const auto& u) { return u->getOffset() < offset; });
  if (it == units.end() || (*it)->getOffset() != offset || !context_->usable(**it)) return nullptr;
  return it->get();
}

// .gdb_index, versions 4 to 9 (gdb manual, "Index Section Format"): header of six 32-bit offsets;
// CU list of (offset, length) u64 pairs; address area of (low u64, high u64, cu index u32).
void DwarfIndex::load_gdb_index(std::span<const std::byte> section) {
  ByteReader header(section);
  const std::uint32_t version = header.u32();
  const std::uint32_t cu_list = header.u32();
  const std::uint32_t types_list = header.u32();
  const std::uint32_t address_area = header.u32();
  const std::uint32_t symbol_table = header.u32();
  if (!header.ok() || version < 4 || version > 9 || cu_list > types_list ||
      address_area > symbol_table || symbol_table > section.size() || types_list > section.size()) {
    return;
  }
  const std::uint32_t units = (types_list - cu_list) / 16;
  ByteReader reader(section, address_area);
  while (reader.ok() && reader.offset() + 20 <= symbol_table) {
    const std::uint64_t low = reader.u64();
    const std::uint64_t high = reader.u64();
    const std::uint32_t unit = reader.u32();
    if (!reader.ok() || unit >= units || low >= high) continue;
    ByteReader list(section, cu_list + std::size_t{unit} * 16);
    const std::uint64_t offset = list.u64();
    if (list.ok()) ranges_.push_back({low, high, offset});
  }
}

// .debug_aranges (DWARF 5, section 6.1.2).
void DwarfIndex::load_aranges(std::span<const std::byte> section) {
  ByteReader reader(section);
  while (reader.remaining() > 4) {
    const std::size_t set_start = reader.offset();
    std::uint64_t length = reader.u32();
    const bool wide = length == 0xFFFFFFFF;
    if (wide) length = reader.u64();
    if (!reader.ok() || length > reader.remaining()) return;
    const std::size_t set_end = reader.offset() + static_cast<std::size_t>(length);
    reader.u16();
    const std::uint64_t unit = wide ? reader.u64() : reader.u32();
    const std::uint8_t address_size = reader.u8();
    const std::uint8_t segment_size = reader.u8();
    if (reader.ok() && address_size == 8 && segment_size == 0) {
      // Tuples are aligned to twice the address size from the start of the set.
      reader.skip((16 - (reader.offset() - set_start) % 16) % 16);
      while (reader.ok() && reader.offset() + 16 <= set_end) {
        const std::uint64_t low = reader.u64();
        const std::uint64_t size = reader.u64();
        if (low == 0 && size == 0) break;
        if (size != 0 && low + size > low) ranges_.push_back({low, low + size, unit});
      }
    }
    if (!reader.ok()) return;
    reader.seek(set_end);
  }
}

void DwarfIndex::load_ranges() {
  if (ranges_loaded_) return;
  ranges_loaded_ = true;
  load_gdb_index(file_->contents_of(".gdb_index"));
  if (ranges_.empty()) load_aranges(file_->contents_of(".debug_aranges"));
  if (ranges_.empty()) load_aranges(file_->contents_of(".zdebug_aranges"));
  std::stable_sort(ranges_.begin(), ranges_.end(),
                   [](const UnitRange& a, const UnitRange& b) { return a.low < b.low; });
}

bool DwarfIndex::stands_for_itself(DWARFUnit& unit) {
  DWARFUnit* full = split_->full_unit(unit).unit;
  return full == nullptr || !CheckedDwarfContext::of(*full).usable(*full);
}

std::string DwarfIndex::split_problem(DWARFUnit& unit) {
  if (unit.isDWOUnit()) return {};
  const SplitDwarf::Found& found = split_->full_unit(unit);
  if (found.unit == nullptr) return found.problem;
  return stands_for_itself(unit) ? "its split file is malformed" : std::string();
}

DWARFUnit* DwarfIndex::unit_at(std::uint64_t address) {
  DWARFUnit* own = own_unit_at(address);
  return own == nullptr || stands_for_itself(*own) ? own : split_->full_unit(*own).unit;
}

DWARFUnit* DwarfIndex::own_unit_at(std::uint64_t address) {
  load_ranges();
  const auto covers = [&](const UnitRange& r) { return address >= r.low && address < r.high; };
  const auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), address,
                       [](std::uint64_t a, const UnitRange& r) { return a < r.low; });
  // Ranges of sound files do not nest; a few steps back are enough for stray overlaps.
  auto it = after;
  for (int back = 0; it != ranges_.begin() && back < 8; ++back) {
    --it;
    if (!covers(*it)) continue;
    if (DWARFUnit* unit = unit_for_offset(it->unit_offset)) return unit;
  }
  // Compilers may leave units out of the index (clang writes none by default): look at the unit
  // entries themselves, only as many as needed.
  for (const UnitRange& r : own_ranges_) {
    if (covers(r)) return unit_for_offset(r.unit_offset);
  }
  const auto units = context_->info_section_units();
  const auto count = static_cast<std::size_t>(std::distance(units.begin(), units.end()));
  while (units_scanned_ < count) {
    DWARFUnit* unit = (units.begin() + static_cast<std::ptrdiff_t>(units_scanned_++))->get();
    if (unit->isTypeUnit() || !context_->root_usable(*unit)) continue;
    bool hit = false;
    for (const auto& [low, high] : die_ranges(unit->getUnitDIE())) {
      own_ranges_.push_back({low, high, unit->getOffset()});
      hit = hit || covers(own_ranges_.back());
    }
    if (hit && context_->usable(*unit)) return unit;
  }
  return nullptr;
}

const std::vector<FunctionPart>& DwarfIndex::functions(DWARFUnit& unit) {
  UnitData& data = data_[&unit];
  if (data.functions_loaded) return data.functions;
  data.functions_loaded = true;
  const unsigned count = unit.getNumDIEs();
  for (unsigned i = 0; i < count; ++i) {
    const DWARFDie die = unit.getDIEAtIndex(i);
    if (die.getTag() != dwarf::DW_TAG_subprogram) continue;
    for (const auto& [low, high] : die_ranges(die)) data.functions.push_back({low, high, i});
  }
  std::sort(data.functions.begin(), data.functions.end(),
            [](const FunctionPart& a, const FunctionPart& b) {
              return a.low != b.low ? a.low < b.low : a.high > b.high;
            });
  return data.functions;
}

std::optional<DwarfIndex::FunctionHit> DwarfIndex::function_at(DWARFUnit& unit,
                                                               std::uint64_t address) {
  const auto& list = functions(unit);
  auto it = std::upper_bound(list.begin(), list.end(), address,
                             [](std::uint64_t a, const FunctionPart& f) { return a < f.low; });
  for (int back = 0; it != list.begin() && back < 64; ++back) {
    --it;
    if (address < it->high) return FunctionHit{unit.getDIEAtIndex(it->die), it->low, it->high};
  }
  return std::nullopt;
}

std::vector<DWARFDie> DwarfIndex::scopes_at(const DWARFDie& function, std::uint64_t address) {
  std::vector<DWARFDie> path{function};
  while (path.size() < kMaxScopeDepth) {
    DWARFDie next;
    for (DWARFDie child : path.back().children()) {
      const dwarf::Tag tag = child.getTag();
      if (tag != dwarf::DW_TAG_lexical_block && tag != dwarf::DW_TAG_inlined_subroutine &&
          tag != dwarf::DW_TAG_try_block && tag != dwarf::DW_TAG_catch_block) {
        continue;
      }
      const auto ranges = die_ranges(child);
      if (std::any_of(ranges.begin(), ranges.end(),
                      [&](const auto& r) { return address >= r.first && address < r.second; })) {
        next = child;
        break;
      }
    }
    if (!next) break;
    path.push_back(next);
  }
  return path;
}

const LineTable* DwarfIndex::line_table(DWARFUnit& unit) {
  if (unit.isDWOUnit()) {
    // A full unit's lines and file numbers are its skeleton's; type units of a split file have none
    // here.
    DWARFUnit* skeleton = unit.getLinkedUnit();
    return skeleton != nullptr ? line_table(*skeleton) : nullptr;
  }
  UnitData& data = data_[&unit];
  if (data.lines_loaded) return data.lines;
  data.lines_loaded = true;
  const DWARFDie die = unit.getUnitDIE();
  if (!die) return nullptr;
  const auto offset = dwarf::toSectionOffset(die.find(dwarf::DW_AT_stmt_list));
  if (!offset) return nullptr;
  // Type units share the table of the unit that they come from.
  const llvm::StringRef folder = dwarf::toStringRef(die.find(dwarf::DW_AT_comp_dir));
  const auto key = std::make_pair(*offset, folder.str());
  auto it = line_tables_.find(key);
  if (it == line_tables_.end()) {
    auto table = LineTable::parse({line_, sections_.line_str, sections_.str}, *offset, key.second);
    it = line_tables_.emplace(key, std::move(table)).first;
  }
  data.lines = it->second ? &*it->second : nullptr;
  return data.lines;
}

std::string DwarfIndex::file_name(DWARFUnit& unit, std::uint64_t number) {
  const LineTable* table = line_table(unit);
  return table != nullptr ? table->file(number) : std::string();
}

std::optional<SourcePosition> DwarfIndex::line_at(DWARFUnit& unit, std::uint64_t address) {
  const LineTable* table = line_table(unit);
  const LineTable::Row* row = table != nullptr ? table->at(address) : nullptr;
  if (row == nullptr) return std::nullopt;
  return SourcePosition{table->file(row->file), row->line, row->column};
}

std::vector<Symbolizer::LineRow> DwarfIndex::line_rows(DWARFUnit& unit, std::uint64_t low,
                                                       std::uint64_t high) {
  std::vector<Symbolizer::LineRow> rows;
  const LineTable* table = line_table(unit);
  if (table == nullptr || low >= high) return rows;
  for (const LineTable::Row& row : table->between(low, high)) {
    rows.push_back({Address{row.address},
                    {table->file(row.file), row.line, row.column},
                    row.is_statement,
                    row.prologue_end});
  }
  return rows;
}

SourcePosition DwarfIndex::declaration(const DWARFDie& die) {
  return along_origin(die, [this](const DWARFDie& d) {
    SourcePosition position;
    const auto line = die_unsigned(d, dwarf::DW_AT_decl_line);
    const auto file = die_unsigned(d, dwarf::DW_AT_decl_file);
    if (line && file && *line <= UINT32_MAX) {
      position.file = file_name(*d.getDwarfUnit(), *file);
      position.line = static_cast<std::uint32_t>(*line);
      position.column =
          static_cast<std::uint32_t>(die_unsigned(d, dwarf::DW_AT_decl_column).value_or(0));
    } else if (line && *line <= UINT32_MAX) {
      // Go gives locals a line only: the file is that of the enclosing function.
      for (DWARFDie parent = d.getParent(); parent; parent = parent.getParent()) {
        if (const auto outer = die_unsigned(parent, dwarf::DW_AT_decl_file)) {
          position.file = file_name(*parent.getDwarfUnit(), *outer);
          position.line = static_cast<std::uint32_t>(*line);
          break;
        }
      }
    }
    return position;
  });
}

const std::vector<StaticVariable>& DwarfIndex::static_variables(DWARFUnit& unit) {
  UnitData& data = data_[&unit];
  if (data.variables_loaded) return data.variables;
  data.variables_loaded = true;
  const unsigned count = unit.getNumDIEs();
  for (unsigned i = 0; i < count; ++i) {
    const DWARFDie die = unit.getDIEAtIndex(i);
    if (die.getTag() != dwarf::DW_TAG_variable) continue;
    const auto location = die.find(dwarf::DW_AT_location);
    if (!location) continue;
    const auto block = location->getAsBlock();
    if (!block || block->empty()) continue;
    ByteReader reader(std::span(reinterpret_cast<const std::byte*>(block->data()), block->size()));
    const std::uint8_t op = reader.u8();
    std::optional<std::uint64_t> address;
    bool tls = false;
    const auto indexed = [&](std::uint64_t entry) -> std::optional<std::uint64_t> {
      if (entry > UINT32_MAX) return std::nullopt;
      const auto item = unit.getAddrOffsetSectionItem(static_cast<std::uint32_t>(entry));
      if (!item) return std::nullopt;
      return item->Address;
    };
    if (op == dwarf::DW_OP_addr) {
      address = reader.u64();
    } else if (op == dwarf::DW_OP_addrx || op == dwarf::DW_OP_GNU_addr_index) {
      address = indexed(reader.uleb());
    } else if (op == dwarf::DW_OP_const8u) {
      address = reader.u64();
      tls = true;
    } else if (op == dwarf::DW_OP_constx || op == dwarf::DW_OP_GNU_const_index) {
      address = indexed(reader.uleb());
      tls = true;
    }
    if (!reader.ok() || !address) continue;
    if (tls) {
      const std::uint8_t next = reader.u8();
      if (next != dwarf::DW_OP_form_tls_address && next != dwarf::DW_OP_GNU_push_tls_address) {
        continue;
      }
    } else if (reader.remaining() >= 2) {
      // clang describes members of merged globals as addr + plus_uconst.
      if (reader.u8() == dwarf::DW_OP_plus_uconst) *address += reader.uleb();
    }
    if (!reader.ok() || !reader.at_end()) continue;
    data.variables.push_back({*address, i, tls});
  }
  std::sort(data.variables.begin(), data.variables.end(),
            [](const StaticVariable& a, const StaticVariable& b) { return a.address < b.address; });
  return data.variables;
}

std::vector<DWARFUnit*> DwarfIndex::all_units_if_small() {
  std::vector<DWARFUnit*> units;
  if (sections_.info.size() > kSmallDebugInfo) return units;
  std::uint64_t size = sections_.info.size();
  for (DWARFUnit* unit : split_->full_units()) {
    size += unit->getLength();
    if (size > kSmallDebugInfo) return {};
    if (CheckedDwarfContext::of(*unit).usable(*unit)) units.push_back(unit);
  }
  for (const auto& unit : context_->normal_units()) {
    if (context_->usable(*unit) && stands_for_itself(*unit)) units.push_back(unit.get());
  }
  return units;
}

namespace {

/// Where a string with its NUL stands in sections of strings; linkers merge tails, so what stands
/// before it does not matter.
struct StringPlaces {
  std::vector<std::uint32_t> offsets;
  bool too_many = false;

  void look_into(std::span<const std::byte> section, const std::string& needle) {
    constexpr std::size_t kMaxOffsets = 64;
    if (section.empty()) return;
    const std::string_view strings(reinterpret_cast<const char*>(section.data()), section.size());
    std::size_t from = 0;
    while (from < strings.size()) {
      const void* hit =
          ::memmem(strings.data() + from, strings.size() - from, needle.data(), needle.size());
      if (hit == nullptr) break;
      const auto offset = static_cast<std::size_t>(static_cast<const char*>(hit) - strings.data());
      if (offset > UINT32_MAX || offsets.size() == kMaxOffsets) {
        too_many = true;
        break;
      }
      offsets.push_back(static_cast<std::uint32_t>(offset));
      from = offset + 1;
    }
  }
  [[nodiscard]] bool referred_to_in(llvm::StringRef bytes) const {
    return std::any_of(offsets.begin(), offsets.end(), [&](const std::uint32_t& offset) {
      return ::memmem(bytes.data(), bytes.size(), &offset, 4) != nullptr;
    });
  }
};

llvm::StringRef bytes_of(const DWARFUnit& unit) {
  const llvm::StringRef section = unit.getInfoSection().Data;
  const std::uint64_t end = std::min<std::uint64_t>(unit.getNextUnitOffset(), section.size());
  return unit.getOffset() < end ? section.slice(unit.getOffset(), end) : llvm::StringRef();
}

}  // namespace

std::vector<DWARFUnit*> DwarfIndex::units_mentioning(std::string_view text) {
  std::vector<DWARFUnit*> units;
  if (text.empty() || text.size() > 4096) return units;
  std::string key(text);
  if (mentions_with_ != split_->looked_for() || mentions_.size() > 4096) mentions_.clear();
  if (const auto it = mentions_.find(key); it != mentions_.end()) return it->second;

  // The string stands in .debug_str (and entries refer to its offset), or in the entries
  // themselves.
  const std::string needle = key + '\0';
  StringPlaces places;
  places.look_into(sections_.str, needle);
  places.look_into(sections_.line_str, needle);
  // Indexed strings (DW_FORM_strx*) leave no trace in the unit's bytes.
  const bool indexed = !sections_.str_offsets.empty() && !places.offsets.empty();
  for (const auto& unit : context_->normal_units()) {
    const llvm::StringRef bytes = bytes_of(*unit);
    if (bytes.empty()) continue;
    const bool match =
        places.too_many || indexed ||
        ::memmem(bytes.data(), bytes.size(), needle.data(), needle.size()) != nullptr ||
        places.referred_to_in(bytes);
    if (match && context_->usable(*unit) && stands_for_itself(*unit)) units.push_back(unit.get());
  }
  // Units of a package have their strings in common.
  const std::byte* strings = nullptr;
  StringPlaces split_places;
  std::unordered_set<const CheckedDwarfContext*> seen;
  const auto look_at = [&](DWARFUnit& unit) {
    CheckedDwarfContext& context = CheckedDwarfContext::of(unit);
    const DwarfSections& s = context.sections();
    if (s.str.data() != strings) {
      strings = s.str.data();
      split_places = {};
      split_places.look_into(s.str, needle);
    }
    const llvm::StringRef bytes = bytes_of(unit);
    const llvm::StringRef offsets(reinterpret_cast<const char*>(s.str_offsets.data()),
                                  s.str_offsets.size());
    const bool match =
        split_places.too_many || split_places.referred_to_in(offsets) ||
        ::memmem(bytes.data(), bytes.size(), needle.data(), needle.size()) != nullptr;
    if (match && context.usable(unit)) units.push_back(&unit);
  };
  for (DWARFUnit* full : split_->full_units()) {
    look_at(*full);
    CheckedDwarfContext& context = CheckedDwarfContext::of(*full);
    if (!seen.insert(&context).second) continue;
    for (const auto& unit : context.dwo_units()) {
      if (unit->isTypeUnit()) look_at(*unit);
    }
  }
  // The whole of a large file would stay resident.
  constexpr std::size_t kLargeFile = std::size_t{64} << 20;
  if (file_->bytes().size() > kLargeFile) file_->drop_pages();
  split_->drop_pages();
  mentions_with_ = split_->looked_for();
  mentions_[std::move(key)] = units;
  return units;
}

}  // namespace culprit::binary
