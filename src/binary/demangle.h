// Symbol names as people write them (internal to this layer).
#pragma once

#include <string>
#include <string_view>

namespace culprit::binary {

/// Demangles Itanium C++, Rust (v0 and legacy) and D names; everything else, Go's names included,
/// is returned as it is. Names longer than 4096 bytes are not demangled.
[[nodiscard]] std::string demangle(std::string_view linkage_name);

}  // namespace culprit::binary
