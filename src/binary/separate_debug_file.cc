#include "binary/separate_debug_file.h"

#include "binary/debug_file.h"
#include "binary/elf_file.h"

namespace culprit::binary {

Result<std::string> separate_debug_file(const std::string& path, const std::string& build_id) {
  CULPRIT_ASSIGN(const std::unique_ptr<ElfFile> file, ElfFile::open(path));
  if (build_id.empty() || file->build_id() != build_id) {
    return Error{ErrorCode::not_found, path + ": another build"};
  }
  if (file->section(".debug_info") != nullptr || file->section(".zdebug_info") != nullptr) {
    return Error{ErrorCode::not_found, path + ": it holds its debug information itself"};
  }
  const DebugFileResult found = find_debug_file(*file, path, DebugFileSearch{});
  if (found.file == nullptr) return Error{ErrorCode::not_found, path + ": " + found.problem};
  return found.file->path();
}

}  // namespace culprit::binary
