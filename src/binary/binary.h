// One opened ELF file with everything that is parsed from it on demand (internal to this layer).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "binary/cfi.h"
#include "binary/debug_file.h"
#include "binary/debug_type.h"
#include "binary/dwarf_index.h"
#include "binary/elf_file.h"
#include "binary/symbol_table.h"

namespace culprit::binary {

class Binary {
 public:
  Binary(std::unique_ptr<ElfFile> file, std::string original_path, const DebugFileSearch* search)
      : file_(std::move(file)), original_path_(std::move(original_path)), search_(search) {}

  ElfFile& elf() { return *file_; }
  /// The separate debug file, or null. Searched for at the first call.
  ElfFile* debug_elf();
  /// Null if there is no debug information: see no_debug_info().
  DwarfIndex* dwarf();
  /// Why dwarf() is null: one clause.
  const std::string& no_debug_info();
  const SymbolTable& symbols();
  const CfiTable& cfi();

  /// Results of find_type, misses too.
  std::map<std::string, Type, std::less<>> types_by_name;

 private:
  std::unique_ptr<ElfFile> file_;
  std::string original_path_;
  const DebugFileSearch* search_;
  bool debug_searched_ = false;
  DebugFileResult debug_;
  bool dwarf_loaded_ = false;
  std::unique_ptr<DwarfIndex> dwarf_;
  std::string no_debug_info_;
  std::optional<SymbolTable> symbols_;
  std::optional<CfiTable> cfi_;
};

}  // namespace culprit::binary
