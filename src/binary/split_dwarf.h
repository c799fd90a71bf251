// Debug information in split files: .dwo files beside the objects, and .dwp packages of them
// (internal to this layer).
//
// Formats: DWARF 5, sections 3.1.2, 7.3.2 and 7.3.5; for DWARF 4, GNU's "DebugFission" and
// "DebugFissionDWP" (gcc.gnu.org/wiki). A skeleton unit in the module names its split file and the
// id of the full unit there. A package's units are cut out of it and look like .dwo files of their
// own, so that LLVM never sees the package's index: its reader trusts the numbers in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "binary/checked_dwarf_context.h"
#include "binary/elf_file.h"
#include "llvm/DebugInfo/DWARF/DWARFUnit.h"

namespace culprit::binary {

/// The part of a package that belongs to the compile unit with that id. Nothing if the index
/// (.debug_cu_index) has no such unit, or is malformed. Strings are shared by all units.
[[nodiscard]] std::optional<DwarfSections> package_part(const DwarfSections& package,
                                                        std::span<const std::byte> index,
                                                        std::uint64_t id);

/// The split files of one module, opened when they are asked for and kept. Files are mapped, not
/// read.
class SplitDwarf {
 public:
  /// `skeletons` must outlive this. `module_paths`: where the module lay when it was loaded, and
  /// where it and its separate debug file lie now; a package beside any of them counts.
  SplitDwarf(CheckedDwarfContext& skeletons, std::vector<std::string> module_paths);
  ~SplitDwarf();

  struct Found {
    llvm::DWARFUnit* unit =
        nullptr;          ///< the full unit; its root may be read, not more (see usable())
    std::string problem;  ///< why there is none, one clause; empty if the unit is no skeleton
  };
  /// What belongs to a unit of the module. Looked for once.
  const Found& full_unit(llvm::DWARFUnit& unit);
  /// The full units of the module's skeletons. At most some thousand files are opened for this; of
  /// a larger module those units are in it that were asked for by full_unit().
  std::vector<llvm::DWARFUnit*> full_units();
  /// Grows when a skeleton's unit was looked for.
  [[nodiscard]] std::size_t looked_for() const { return looked_for_; }
  /// Gives the pages of large files back after a search through them.
  void drop_pages() const;

 private:
  struct File;
  std::optional<std::string> split_name(llvm::DWARFUnit& unit);
  Found look_for(llvm::DWARFUnit& skeleton, const std::string& name);
  /// Null, and why, if the file is none or cannot be read.
  File* open(const std::string& path, std::string& problem);
  llvm::DWARFUnit* in_context(CheckedDwarfContext& context, std::uint64_t id,
                              std::uint16_t version);
  llvm::DWARFUnit* in_package(std::uint64_t id, std::uint16_t version);
  void attach(llvm::DWARFUnit& full, llvm::DWARFUnit& skeleton);

  CheckedDwarfContext& skeletons_;
  std::vector<std::string> module_paths_;
  bool packages_opened_ = false;
  std::vector<File*> packages_;
  std::map<std::string, std::unique_ptr<File>> files_;       ///< by path; null: cannot be read
  std::vector<std::unique_ptr<CheckedDwarfContext>> parts_;  ///< of packages
  std::unordered_map<const llvm::DWARFUnit*, Found> found_;
  std::unordered_set<const llvm::DWARFUnit*> attached_;
  std::size_t opened_for_all_ = 0;
  std::size_t looked_for_ = 0;
};

}  // namespace culprit::binary
