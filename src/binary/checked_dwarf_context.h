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

#include "llvm/DebugInfo/DWARF/DWARFContext.h"
#include "llvm/DebugInfo/DWARF/DWARFUnit.h"

namespace culprit::binary {

/// The sections that DWARF entries need; each may be empty. Borrowed.
struct DwarfSections {
  std::span<const std::byte> info, types, abbrev, str, line_str, str_offsets, addr, ranges,
      rnglists, loc, loclists;
};

class CheckedDwarfContext final : public llvm::DWARFContext {
 public:
  explicit CheckedDwarfContext(const DwarfSections& sections);
  ~CheckedDwarfContext() override;

  /// The guard of the context that a unit belongs to (all of this layer's are of this class).
  static CheckedDwarfContext& of(llvm::DWARFUnit& unit) {
    return static_cast<CheckedDwarfContext&>(unit.getContext());
  }

  /// All entries of the unit lie within it. Checked once, when first asked.
  [[nodiscard]] bool usable(llvm::DWARFUnit& unit);
  /// The same for the unit's first entry only (cheap).
  [[nodiscard]] bool root_usable(llvm::DWARFUnit& unit);

 private:
  struct Abbreviation {
    bool has_children = false;
    std::uint32_t first = 0;  ///< index of its forms
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

  std::span<const std::byte> abbrev_;
  std::unordered_map<std::uint64_t, AbbreviationTable> tables_;
  std::unordered_map<const llvm::DWARFUnit*, Verdict> verdicts_;
};

}  // namespace culprit::binary
