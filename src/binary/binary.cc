#include "binary/binary.h"

#include <vector>

namespace culprit::binary {

ElfFile* Binary::debug_elf() {
  if (!debug_searched_) {
    debug_searched_ = true;
    const bool complete =
        file_->section(".debug_info") != nullptr || file_->section(".zdebug_info") != nullptr;
    if (!complete) debug_ = find_debug_file(*file_, original_path_, *search_);
  }
  return debug_.file.get();
}

DwarfIndex* Binary::dwarf() {
  if (!dwarf_loaded_) {
    dwarf_loaded_ = true;
    ElfFile* separate = debug_elf();
    std::vector<std::string> paths{original_path_, file_->path()};
    if (separate != nullptr) paths.push_back(separate->path());
    dwarf_ = DwarfIndex::create(*file_, paths);
    if (dwarf_ == nullptr && separate != nullptr) dwarf_ = DwarfIndex::create(*separate, paths);
    if (dwarf_ == nullptr) {
      no_debug_info_ = debug_.problem;
      if (separate != nullptr) no_debug_info_ = "its debug file holds no readable .debug_info";
      if (no_debug_info_.empty()) {
        no_debug_info_ = file_->section(".debug_info") != nullptr
                             ? "its .debug_info cannot be read"
                             : "it was built without debug information, or stripped";
      }
    }
  }
  return dwarf_.get();
}

const std::string& Binary::no_debug_info() {
  (void)dwarf();
  return no_debug_info_;
}

const SymbolTable& Binary::symbols() {
  if (!symbols_) symbols_.emplace(*file_, debug_elf());
  return *symbols_;
}

const CfiTable& Binary::cfi() {
  if (!cfi_) cfi_.emplace(*file_, debug_elf());
  return *cfi_;
}

}  // namespace culprit::binary
