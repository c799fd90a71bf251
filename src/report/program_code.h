// Whose code a source file is.
#pragma once

#include <string_view>

namespace culprit::report {

/// Not a header of the language's library, nor a file of a distribution's build of it
/// ("./malloc/malloc.c"), nor unknown.
[[nodiscard]] inline bool is_program_code(std::string_view file) {
  return !file.empty() && !file.starts_with("/usr/include/") && !file.starts_with("/usr/lib/") &&
         !file.starts_with("./") && !file.starts_with("/rustc/");
}

}  // namespace culprit::report
