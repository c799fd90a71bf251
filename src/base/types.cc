#include "base/types.h"

#include <fmt/format.h>

namespace culprit {

std::string to_hex(std::uint64_t value) { return fmt::format("{:#x}", value); }

}  // namespace culprit
