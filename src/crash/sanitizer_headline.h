// The first line of a sanitizer's report.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crash/crash_report.h"

namespace culprit::crash {

/// "==123==ERROR: AddressSanitizer: heap-use-after-free on address 0x… at pc 0x… bp 0x… sp 0x…".
struct SanitizerHeadline {
  /// What the headline is about, and so what its address is.
  enum class Subject : std::uint8_t {
    access,   ///< an address that was accessed
    pointer,  ///< a pointer that was given to the allocator
    size,     ///< a size
    ranges,   ///< two ranges that overlap
    signal,   ///< a deadly signal
    none,
  };

  Kind kind = Kind::address_sanitizer;
  std::string_view runtime;  ///< "asan", "hwasan", "msan", "tsan", "ubsan"
  CrashHint hint = CrashHint::none;
  Subject subject = Subject::none;
  std::optional<std::uint64_t> process;  ///< the number between "==" and "=="
  std::optional<int> signal;
  std::optional<std::uint64_t> address;  ///< the access's, the pointer, or the size
  std::optional<std::uint64_t> second;   ///< the start of the second range
  std::optional<std::uint64_t> pc;
  std::string thread;  ///< "T0"
};

/// Where in `line` a headline begins: at "==123==", "WARNING: ThreadSanitizer: …". Nothing if there
/// is none. A leak report's headline is one too (see is_leak_headline).
[[nodiscard]] std::optional<std::size_t> find_sanitizer_headline(std::string_view line);
/// Of LeakSanitizer, the headline of a report that is not about a crash?
[[nodiscard]] bool is_leak_headline(std::string_view headline);
/// Is the end of the headline missing, as if the line had been folded?
[[nodiscard]] bool is_open_headline(std::string_view headline);
/// Never fails for what find_sanitizer_headline has found: the hint is none for an unknown error.
[[nodiscard]] SanitizerHeadline parse_sanitizer_headline(std::string_view headline);

}  // namespace culprit::crash
