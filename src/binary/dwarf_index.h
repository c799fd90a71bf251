// Lazy lookups in one file's DWARF, on LLVM's parser of entries (internal to this layer).
//
// All addresses are as in the ELF file (no load bias). Nothing is parsed before it is asked for:
// unit headers at the first query, one unit's entries when an address or a name leads into it. DIE
// trees are walked without recursion, and every chain of references is bounded: the input is
// untrusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "binary/checked_dwarf_context.h"
#include "binary/elf_file.h"
#include "binary/line_table.h"
#include "binary/split_dwarf.h"
#include "binary/symbolizer.h"
#include "llvm/DebugInfo/DWARF/DWARFDie.h"
#include "llvm/DebugInfo/DWARF/DWARFUnit.h"

namespace culprit::binary {

/// Address range [low, high) of one contiguous part of a function.
struct FunctionPart {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::uint32_t die = 0;  ///< index in its unit
};

/// A variable with a fixed address (or TLS offset).
struct StaticVariable {
  std::uint64_t address = 0;
  std::uint32_t die = 0;
  bool thread_local_offset = false;  ///< `address` is an offset in the module's TLS block
};

class DwarfIndex {
 public:
  /// `file` holds the .debug_* sections and must outlive the index. `module_paths`: see SplitDwarf.
  /// Null if it has no debug information that could be read.
  static std::unique_ptr<DwarfIndex> create(ElfFile& file, std::vector<std::string> module_paths);

  /// The unit whose code covers the address, or null. Where that is a skeleton, the full unit in
  /// its split file, if that can be read: all other functions take both.
  llvm::DWARFUnit* unit_at(std::uint64_t address);

  struct FunctionHit {
    llvm::DWARFDie die;  ///< DW_TAG_subprogram
    std::uint64_t low = 0, high = 0;
  };
  /// The innermost subprogram that covers the address.
  std::optional<FunctionHit> function_at(llvm::DWARFUnit& unit, std::uint64_t address);
  /// From the subprogram down to the address: lexical blocks and inlined subroutines that cover it,
  /// outermost first, beginning with the subprogram itself.
  std::vector<llvm::DWARFDie> scopes_at(const llvm::DWARFDie& function, std::uint64_t address);

  /// The line table's row for the address.
  std::optional<SourcePosition> line_at(llvm::DWARFUnit& unit, std::uint64_t address);
  std::vector<Symbolizer::LineRow> line_rows(llvm::DWARFUnit& unit, std::uint64_t low,
                                             std::uint64_t high);
  /// The full path of a file number of the unit's line table; empty if unknown.
  std::string file_name(llvm::DWARFUnit& unit, std::uint64_t number);

  const std::vector<FunctionPart>& functions(llvm::DWARFUnit& unit);
  const std::vector<StaticVariable>& static_variables(llvm::DWARFUnit& unit);

  /// Units (type units too) whose entries may mention the string: a superset.
  std::vector<llvm::DWARFUnit*> units_mentioning(std::string_view text);
  /// All units if the debug information is small enough to scan (16 MiB), else none.
  std::vector<llvm::DWARFUnit*> all_units_if_small();

  /// Why the full unit of this skeleton cannot be read: one clause. Such a unit has lines, and at
  /// most names of functions: nothing may be concluded from what it does not name. Empty for any
  /// other unit.
  std::string split_problem(llvm::DWARFUnit& unit);
  /// Names and types may be in another file (.gnu_debugaltlink, made by dwz), which is not read.
  [[nodiscard]] bool has_supplement() const {
    return file_->section(".gnu_debugaltlink") != nullptr;
  }

  /// DW_AT_decl_file and DW_AT_decl_line, through abstract origins and specifications.
  SourcePosition declaration(const llvm::DWARFDie& die);

 private:
  DwarfIndex() = default;
  void load_ranges();
  void load_gdb_index(std::span<const std::byte> section);
  void load_aranges(std::span<const std::byte> section);
  /// The line table of a unit, or null. Valid until the index goes.
  const LineTable* line_table(llvm::DWARFUnit& unit);
  struct UnitData {
    bool lines_loaded = false;
    const LineTable* lines = nullptr;
    bool functions_loaded = false;
    bool variables_loaded = false;
    std::vector<FunctionPart> functions;
    std::vector<StaticVariable> variables;
  };
  struct UnitRange {
    std::uint64_t low, high;
    std::uint64_t unit_offset;
  };
  llvm::DWARFUnit* unit_for_offset(std::uint64_t offset);
  /// The module's own unit there.
  llvm::DWARFUnit* own_unit_at(std::uint64_t address);
  /// The module's units whose entries are here: no skeletons of units that can be read.
  bool stands_for_itself(llvm::DWARFUnit& unit);

  ElfFile* file_ = nullptr;
  DwarfSections sections_;
  std::span<const std::byte> line_;
  std::unique_ptr<CheckedDwarfContext> context_;
  std::unique_ptr<SplitDwarf> split_;
  bool ranges_loaded_ = false;
  std::vector<UnitRange> ranges_;      // from the index sections, sorted by low
  std::vector<UnitRange> own_ranges_;  // from unit DIEs scanned so far, unsorted
  std::size_t units_scanned_ = 0;
  std::unordered_map<const llvm::DWARFUnit*, UnitData> data_;
  // By offset in .debug_line and the folder that completes its paths.
  std::map<std::pair<std::uint64_t, std::string>, std::optional<LineTable>> line_tables_;
  std::unordered_map<std::string, std::vector<llvm::DWARFUnit*>> mentions_;
  std::size_t mentions_with_ = 0;  ///< split units that had been looked for when those were found
};

// ---- attribute access that cannot fail ----

/// DW_AT_name, not following references; empty if none.
std::string_view die_name(const llvm::DWARFDie& die);
/// DW_AT_name through abstract origins and specifications.
std::string_view die_name_through_origin(const llvm::DWARFDie& die);
/// DW_AT_linkage_name (or its MIPS form) through the same.
std::string_view die_linkage_name(const llvm::DWARFDie& die);
/// The entry that DW_AT_abstract_origin or DW_AT_specification leads to in the end (at most 16
/// steps), or `die` itself.
llvm::DWARFDie die_origin(const llvm::DWARFDie& die);
/// The entry that a reference attribute names; LLVM's own, guarded.
llvm::DWARFDie die_reference(const llvm::DWARFDie& die, llvm::dwarf::Attribute attribute);
/// Valid ranges [low, high) of an entry; empty on malformed input.
std::vector<std::pair<std::uint64_t, std::uint64_t>> die_ranges(const llvm::DWARFDie& die);
std::optional<std::uint64_t> die_unsigned(const llvm::DWARFDie& die,
                                          llvm::dwarf::Attribute attribute);
/// DW_AT_language of its unit.
std::uint64_t die_language(const llvm::DWARFDie& die);
/// "C", "C++", "Go", ...; empty if unknown.
std::string language_name(std::uint64_t language);
/// With namespaces and classes in front ("ns::S::f"), at most 64 levels.
std::string die_qualified_name(const llvm::DWARFDie& die);

}  // namespace culprit::binary
