// The separate debug file of an ELF file on disk, for other debuggers than this project's own
// readers.
#pragma once

#include <string>

#include "base/result.h"

namespace culprit::binary {

/// The path of the debug file that belongs to the file at `path`: by build id below /usr/lib/debug,
/// or by its debuglink (binary/debug_file.h says in which folders, and what must agree). Errors:
/// not_found (the file has another build id than `build_id`, holds its debug information itself, or
/// no debug file is there), and those of opening it.
[[nodiscard]] Result<std::string> separate_debug_file(const std::string& path,
                                                      const std::string& build_id);

}  // namespace culprit::binary
