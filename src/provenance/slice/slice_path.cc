#include "provenance/slice/slice_path.h"

#include <fmt/format.h>

namespace culprit::provenance {

std::string to_string(const Place& place) {
  if (const auto* r = std::get_if<x86::RegisterBytes>(&place)) return x86::to_string(*r);
  const auto& m = std::get<ByteRange>(place);
  return fmt::format("{}..+{}", to_hex(m.start), m.size);
}

}  // namespace culprit::provenance
