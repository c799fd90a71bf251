#include "binary/symbolizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "binary/binary.h"
#include "binary/demangle.h"
#include "llvm/BinaryFormat/Dwarf.h"

namespace culprit::binary {
namespace {

namespace dwarf = llvm::dwarf;
using llvm::DWARFDie;
using llvm::DWARFUnit;

constexpr std::size_t kMaxResults = 65536;

// The best name of a subprogram: demangled linkage name, else the qualified plain one.
FunctionFrame frame_of(DwarfIndex& index, const DWARFDie& die) {
  FunctionFrame frame;
  frame.linkage_name = std::string(die_linkage_name(die));
  if (!frame.linkage_name.empty()) frame.name = demangle(frame.linkage_name);
  if (frame.name.empty() || frame.name == frame.linkage_name) {
    const std::string plain = die_qualified_name(die);
    if (!plain.empty()) frame.name = plain;
  }
  if (frame.linkage_name.empty()) frame.linkage_name = frame.name;
  frame.declared = index.declaration(die);
  return frame;
}

SourcePosition call_site(DwarfIndex& index, const DWARFDie& inlined) {
  SourcePosition position;
  const auto file = die_unsigned(inlined, dwarf::DW_AT_call_file);
  const auto line = die_unsigned(inlined, dwarf::DW_AT_call_line).value_or(0);
  if (file) position.file = index.file_name(*inlined.getDwarfUnit(), *file);
  if (line <= UINT32_MAX) position.line = static_cast<std::uint32_t>(line);
  const auto column = die_unsigned(inlined, dwarf::DW_AT_call_column).value_or(0);
  if (column <= UINT32_MAX) position.column = static_cast<std::uint32_t>(column);
  return position;
}

/// A function without a prototype (K&R C) also has unspecified parameters, but takes none beside
/// the named.
bool is_variadic(const DWARFDie& function) {
  DWARFDie die = function;
  bool unnamed = false;
  bool prototype = false;
  constexpr int kMaxOrigins = 4;  // a copy for some callers, its abstract origin, a declaration
  for (int i = 0; die && i < kMaxOrigins; ++i) {
    for (const DWARFDie& child : die.children()) {
      unnamed |= child.getTag() == dwarf::DW_TAG_unspecified_parameters;
    }
    prototype |= static_cast<bool>(die.find(dwarf::DW_AT_prototyped)) ||
                 static_cast<bool>(die.find(dwarf::DW_AT_linkage_name));
    DWARFDie next = die.getAttributeValueAsReferencedDie(dwarf::DW_AT_abstract_origin);
    if (!next) next = die.getAttributeValueAsReferencedDie(dwarf::DW_AT_specification);
    die = next;
  }
  return unnamed && prototype;
}

void add_debug_info(const Module& module, DwarfIndex& index, std::uint64_t address,
                    CodeLocation& location) {
  DWARFUnit* unit = index.unit_at(address);
  if (unit == nullptr) {
    location.no_debug_info = "no compile unit covers this address";
    return;
  }
  // From what a skeleton does not name, nothing may be concluded.
  location.no_debug_info = index.split_problem(*unit);
  location.has_debug_info = location.no_debug_info.empty();
  if (location.has_debug_info && index.has_supplement()) {
    location.no_debug_info =
        "a part of it is in the file that .gnu_debugaltlink names (dwz), which is not read";
  }
  location.language = language_name(die_language(unit->getUnitDIE()));
  const SourcePosition line = index.line_at(*unit, address).value_or(SourcePosition{});
  const auto function = index.function_at(*unit, address);
  if (!function) {
    // An assembler's unit: lines, but no functions.
    FunctionFrame frame;
    frame.name = location.symbol;
    frame.linkage_name = location.symbol_linkage;
    frame.position = line;
    location.frames.push_back(std::move(frame));
    return;
  }
  location.function = {Address{function->low + module.bias}, function->high - function->low};
  std::uint64_t entry = function->low;
  if (const auto low_pc = dwarf::toAddress(function->die.find(dwarf::DW_AT_low_pc))) {
    entry = *low_pc;
  } else {
    // Ranges: gcc and clang list the hot part, with the entry, first.
    const auto ranges = die_ranges(function->die);
    if (!ranges.empty()) entry = ranges.front().first;
    const auto value = function->die.find(dwarf::DW_AT_entry_pc);
    if (const auto address_form = dwarf::toAddress(value)) entry = *address_form;
  }
  location.entry = Address{entry + module.bias};
  location.variadic = is_variadic(function->die);

  const std::vector<DWARFDie> scopes = index.scopes_at(function->die, address);
  SourcePosition position = line;
  for (auto it = scopes.rbegin(); it != scopes.rend(); ++it) {
    const bool inlined = it->getTag() == dwarf::DW_TAG_inlined_subroutine;
    if (!inlined && it->getTag() != dwarf::DW_TAG_subprogram) continue;
    FunctionFrame frame = frame_of(index, *it);
    frame.position = std::move(position);
    frame.inlined = inlined;
    // Go does not say where functions are declared; the entry's line is on the same line or next.
    if (!inlined && !frame.declared.known()) {
      frame.declared = index.line_at(*unit, entry).value_or(SourcePosition{});
    }
    location.frames.push_back(std::move(frame));
    position = inlined ? call_site(index, *it) : SourcePosition{};
  }
  if (!location.frames.empty() && location.frames.back().name.empty()) {
    location.frames.back().name = location.symbol;
    location.frames.back().linkage_name = location.symbol_linkage;
  }
}

template <typename Use>
void for_modules(const ModuleMap& map, const Module* only, Use use) {
  for (const auto& module : map.modules()) {
    if (module->binary == nullptr || (only != nullptr && module.get() != only)) continue;
    use(*module);
  }
}

bool names_function(const DWARFDie& die, std::string_view name) {
  return die_name_through_origin(die) == name || die_linkage_name(die) == name;
}

}  // namespace

std::string_view CodeLocation::best_name() const {
  if (!frames.empty() && !frames.front().name.empty()) return frames.front().name;
  return symbol;
}

CodeLocation Symbolizer::locate(Address pc, PcKind kind) const {
  CodeLocation location;
  location.pc = pc;
  const Address lookup = kind == PcKind::return_address ? pc - 1 : pc;
  const Module* module = map_->module_at(lookup);
  if (module == nullptr) {
    location.no_debug_info = "the address lies in no module";
    return location;
  }
  location.module = module;
  location.file_address = module->file_address(pc);
  if (module->binary == nullptr) {
    location.no_debug_info = module->problem;
    return location;
  }
  Binary& binary = *module->binary;
  const std::uint64_t address = module->file_address(lookup);
  const SymbolTable& symbols = binary.symbols();
  if (const auto* symbol = symbols.at(address, true)) {
    location.symbol_linkage = std::string(symbol->name);
    location.symbol = demangle(symbol->name);
    location.symbol_offset = location.file_address - symbol->address;
    location.entry = Address{symbol->address + module->bias};
    const std::uint64_t end = symbols.end_of(*symbol);
    if (end > symbol->address) location.function = {location.entry, end - symbol->address};
  }
  if (DwarfIndex* index = binary.dwarf()) {
    add_debug_info(*module, *index, address, location);
  } else {
    location.no_debug_info = binary.no_debug_info();
  }
  if (location.function.empty()) {
    const auto cfi = binary.cfi().find(address);
    if (cfi.lookup == CfiTable::Lookup::found) {
      location.function = {Address{cfi.row.low + module->bias}, cfi.row.high - cfi.row.low};
      location.entry = location.function.start;
    }
  }
  if (location.frames.empty() && !location.symbol.empty()) {
    FunctionFrame frame;
    frame.name = location.symbol;
    frame.linkage_name = location.symbol_linkage;
    location.frames.push_back(std::move(frame));
  }
  return location;
}

std::vector<SymbolAddress> Symbolizer::find_symbol(std::string_view linkage_name) const {
  std::vector<SymbolAddress> found;
  for_modules(*map_, nullptr, [&](const Module& module) {
    for (const auto* symbol : module.binary->symbols().named(linkage_name)) {
      if (symbol->kind == SymbolTable::Kind::tls) continue;
      found.push_back({&module, std::string(symbol->name), Address{symbol->address + module.bias},
                       symbol->size, symbol->kind == SymbolTable::Kind::function});
    }
  });
  return found;
}

std::optional<SymbolAddress> Symbolizer::symbol_at(Address a) const {
  const Module* module = map_->module_at(a);
  if (module == nullptr || module->binary == nullptr) return std::nullopt;
  bool code = false;
  for (const Module::Segment& s : module->segments) {
    if (s.range.contains(a)) code = s.executable;
  }
  const SymbolTable& symbols = module->binary->symbols();
  const std::uint64_t address = module->file_address(a);
  const auto* symbol = symbols.at(address, code);
  // Old link editors put read-only data into the executable segment.
  if (symbol == nullptr) symbol = symbols.at(address, !code);
  if (symbol == nullptr) return std::nullopt;
  return SymbolAddress{module, std::string(symbol->name), Address{symbol->address + module->bias},
                       symbols.end_of(*symbol) - symbol->address,
                       symbol->kind == SymbolTable::Kind::function || code};
}

std::vector<Address> Symbolizer::function_entries(std::string_view name, const Module* only) const {
  std::vector<Address> entries;
  for_modules(*map_, only, [&](const Module& module) {
    for (const auto* symbol : module.binary->symbols().named(name)) {
      const bool in_code = std::any_of(
          module.segments.begin(), module.segments.end(), [&](const Module::Segment& s) {
            return s.executable && s.range.contains(Address{symbol->address + module.bias});
          });
      if (symbol->kind == SymbolTable::Kind::tls || symbol->kind == SymbolTable::Kind::object ||
          !in_code) {
        continue;
      }
      entries.push_back(Address{symbol->address + module.bias});
    }
    DwarfIndex* index = module.binary->dwarf();
    if (index == nullptr) return;
    for (DWARFUnit* unit : index->units_mentioning(name)) {
      std::uint32_t last = UINT32_MAX;
      for (const FunctionPart& part : index->functions(*unit)) {
        if (part.die == last || entries.size() > kMaxResults) continue;
        const DWARFDie die = unit->getDIEAtIndex(part.die);
        if (!names_function(die, name)) continue;
        last = part.die;
        // One entry a function, however many parts it has.
        const auto low_pc = dwarf::toAddress(die.find(dwarf::DW_AT_low_pc));
        const auto ranges = die_ranges(die);
        if (low_pc && dwarf::toUnsigned(die.find(dwarf::DW_AT_ranges), 0) == 0) {
          entries.push_back(Address{*low_pc + module.bias});
        } else if (!ranges.empty()) {
          entries.push_back(Address{ranges.front().first + module.bias});
        }
      }
    }
  });
  std::sort(entries.begin(), entries.end());
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
  return entries;
}

std::vector<InlinedInstance> Symbolizer::inlined_instances(std::string_view name,
                                                           const Module* only) const {
  std::vector<InlinedInstance> found;
  for_modules(*map_, only, [&](const Module& module) {
    DwarfIndex* index = module.binary->dwarf();
    if (index == nullptr) return;
    for (DWARFUnit* unit : index->units_mentioning(name)) {
      const unsigned count = unit->getNumDIEs();
      for (unsigned i = 0; i < count && found.size() < kMaxResults; ++i) {
        const DWARFDie die = unit->getDIEAtIndex(i);
        if (die.getTag() != dwarf::DW_TAG_inlined_subroutine || !names_function(die, name)) {
          continue;
        }
        InlinedInstance instance;
        instance.module = &module;
        for (const auto& [low, high] : die_ranges(die)) {
          instance.ranges.push_back({Address{low + module.bias}, high - low});
          if (!instance.entry || low + module.bias < instance.entry.value) {
            instance.entry = Address{low + module.bias};
          }
        }
        if (instance.ranges.empty()) continue;
        if (const auto entry = dwarf::toAddress(die.find(dwarf::DW_AT_entry_pc))) {
          instance.entry = Address{*entry + module.bias};
        }
        DWARFDie outer = die.getParent();
        while (outer && outer.getTag() != dwarf::DW_TAG_subprogram) outer = outer.getParent();
        if (outer) instance.caller = frame_of(*index, outer).name;
        found.push_back(std::move(instance));
      }
    }
  });
  return found;
}

std::vector<Symbolizer::LineRow> Symbolizer::line_rows(ByteRange range) const {
  const Module* module = map_->module_at(range.start);
  if (module == nullptr || module->binary == nullptr || range.empty()) return {};
  DwarfIndex* index = module->binary->dwarf();
  if (index == nullptr) return {};
  const std::uint64_t low = module->file_address(range.start);
  DWARFUnit* unit = index->unit_at(low);
  if (unit == nullptr) return {};
  auto rows = index->line_rows(*unit, low, low + range.size);
  for (LineRow& row : rows) row.address = Address{row.address.value + module->bias};
  return rows;
}

}  // namespace culprit::binary
