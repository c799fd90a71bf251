// bundle.json, the first entry of a bundle: what it is and what it may hold.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace culprit::bundle {

/// The first number of bundle.json that readers must know.
inline constexpr int kFormat = 1;

/// What a bundle says of itself. The reader trusts none of it: sizes are compared with what comes.
struct Manifest {
  std::string tool_version;
  std::string cpu;                    ///< "vendor family model" of the machine that made it
  std::int32_t process = 0;           ///< of the report's crash; 0: not known
  std::uint64_t files = 0;            ///< entries besides bundle.json
  std::uint64_t bytes = 0;            ///< of those, unpacked
  std::vector<std::string> may_hold;  ///< sentences about private data, for people
};

[[nodiscard]] std::string to_text(const Manifest& manifest);

/// Errors: bad_input (not JSON, another format, numbers out of range, more than 64 KiB).
[[nodiscard]] Result<Manifest> parse_manifest(std::string_view text);

}  // namespace culprit::bundle
