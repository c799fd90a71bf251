// Finding a module's separate debug file (internal to this layer).
#pragma once

#include <memory>
#include <string>

#include "binary/elf_file.h"
#include "binary/module_map.h"

namespace culprit::binary {

/// What the search found.
struct DebugFileResult {
  std::unique_ptr<ElfFile> file;  ///< null if none was found
  std::string problem;            ///< why none: one clause; empty if none is needed
};

/// Looks for the debug file of `main` as gdb does ("Separate Debug Files" in its manual): by build
/// id in <dir>/.build-id/xx/yyyy.debug, then by .gnu_debuglink beside the file, in .debug/ there,
/// and below each search directory. A candidate must have the same build id or, where there is
/// none, the CRC that the link names. `original_path` is where the module was loaded from.
[[nodiscard]] DebugFileResult find_debug_file(ElfFile& main, const std::string& original_path,
                                              const DebugFileSearch& search);

}  // namespace culprit::binary
