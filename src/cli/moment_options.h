// The options that name a moment of a trace as a debugger under rr sees it.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "provenance/asked_moment.h"

namespace culprit::cli {

/// Raw values as CLI11 binds them.
struct MomentFlags {
  std::int64_t event = 0;
  std::int32_t thread = 0;
  std::string pc;
  std::uint64_t hit = 0;
  std::string registers;  ///< "rax=0x1,rbx=0x2,…": all sixteen

  void add_to(CLI::App& command);
  /// Nothing if no moment was named. Errors: usage (a part is missing or malformed).
  [[nodiscard]] Result<std::optional<provenance::AskedMoment>> moment() const;
};

}  // namespace culprit::cli
