// What the user says about the crash himself: --pointer, --address, --report FILE.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "crash/crash_report.h"

namespace culprit::crash {

/// The user's own words, parsed. The text of --report's file is given to parse() in place of the
/// program's output by the caller; it is kept here so that all three travel together.
struct Overrides {
  std::optional<std::uint64_t> pointer;    ///< --pointer: the bad value
  std::optional<Address> address;          ///< --address: the slot that holds it
  std::string expression;  ///< --address: the same, as an expression of the program's source
  std::optional<std::string> report_text;  ///< the contents of --report's file

  [[nodiscard]] bool empty() const {
    return !pointer && !address && expression.empty() && !report_text;
  }
};

/// A number of up to 64 bits in hexadecimal, with or without "0x"; nothing else (no sign, space,
/// suffix). `option` ("--pointer") is named in the error, of kind usage.
[[nodiscard]] Result<std::uint64_t> parse_hex(std::string_view option, std::string_view text);

/// The reports for this failure, best first. The text is report_text if given, else `output`. With
/// a pointer or an address, the best report gets a first suspect of that value and slot (Certainty
/// stated), and suspects of other values sink behind it; without any report, one of
/// Kind::user_named is made.
[[nodiscard]] std::vector<CrashReport> parse_with_overrides(const Overrides& overrides,
                                                            std::string_view output,
                                                            const ExitInfo& exit);

}  // namespace culprit::crash
