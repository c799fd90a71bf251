// LLVM's DWARF context behind a guard (internal to this layer).
//
// LLVM 19 skips attribute values without looking whether they end inside of their section, and then
// reads beyond it. So no unit's entries may be given to LLVM before usable() has walked over them
// here, with every size checked.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "binary/byte_reader.h"
#include "llvm/DebugInfo/DWARF/DWARFContext.h"
#include "llvm/DebugInfo/DWARF/DWARFUnit.h"

namespace culprit::binary {

/// The sections that DWARF entries need; each may be empty. Borrowed.
struct DwarfSections {
  std::span<const std::byte> info, types, abbrev, str, line_str, str_offsets, addr, ranges,
      rnglists, loc, loclists;
  /// Further sections named as info and types: a split file has one for each type unit.
  std::vector<std::span<const std::byte>> more_info, more_types;
};

/// Entries of this tag are types that may have a name of their own.
[[nodiscard]] bool is_named_type(llvm::dwarf::Tag tag);

class CheckedDwarfContext final : public llvm::DWARFContext {
 public:
  /// `split`: the sections are those of a split file (.debug_info.dwo and so on), whose units are
  /// dwo_info_section_units().
  explicit CheckedDwarfContext(const DwarfSections& sections, bool split = false);
  ~CheckedDwarfContext() override;

  /// The guard of the context that a unit belongs to (all of this layer's are of this class).
  static CheckedDwarfContext& of(llvm::DWARFUnit& unit) {
    return static_cast<CheckedDwarfContext&>(unit.getContext());
  }

  [[nodiscard]] const DwarfSections& sections() const { return sections_; }

  /// All entries of the unit lie within it. Checked once, when first asked.
  [[nodiscard]] bool usable(llvm::DWARFUnit& unit);
  /// The same for the unit's first entry only (cheap).
  [[nodiscard]] bool root_usable(llvm::DWARFUnit& unit);

  /// What a unit's entries say about a type of that name (DW_AT_name, without namespaces).
  enum class TypeMention : std::uint8_t { none, declaration, definition };
  /// Walks over the entries without keeping any: LLVM's entries of a unit take more memory than the
  /// unit itself, so that those of a large library must not be made for a look around. A name that
  /// is only known by an index into other sections counts as a definition. The unit must be
  /// usable().
  [[nodiscard]] TypeMention type_mention(llvm::DWARFUnit& unit, std::string_view name);

 private:
  struct Abbreviation {
    bool has_children = false;
    bool type = false;                ///< one of the tags of named types
    bool declaration = false;         ///< DW_AT_declaration, whatever its value
    std::uint32_t name = UINT32_MAX;  ///< which of its forms is DW_AT_name's
    std::uint32_t first = 0;          ///< index of its forms
    std::uint32_t count = 0;
  };
  struct AbbreviationTable {
    bool valid = false;
    std::unordered_map<std::uint64_t, Abbreviation> by_code;
    std::vector<std::uint16_t> forms;
  };
  struct Verdict {
    std::optional<bool> root;
    std::optional<bool> all;
  };
  const AbbreviationTable& abbreviations(std::uint64_t offset);
  bool check(llvm::DWARFUnit& unit, bool root_only);
  /// False if the walk met malformed bytes. `type_name`, if there is one: what is said of it goes
  /// to `found`.
  bool walk(llvm::DWARFUnit& unit, bool root_only, std::optional<std::string_view> type_name,
            TypeMention& found);
  /// Nothing for a name that is told by an index.
  std::optional<std::string_view> name_at(ByteReader reader, std::uint64_t form, bool wide) const;

  DwarfSections sections_;
  std::unordered_map<std::uint64_t, AbbreviationTable> tables_;
  std::unordered_map<const llvm::DWARFUnit*, Verdict> verdicts_;
};

}  // namespace culprit::binary
