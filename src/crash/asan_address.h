// AddressSanitizer's description of an address: which object is there, or near it.
//
// Formats read from compiler-rt 14 and 19 (asan_descriptions.cpp) and GCC 12's copy. Version 16
// changed "to the right of" and "to the left of" into "after" and "before".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/types.h"

namespace culprit::crash {

/// "0xA is located …".
struct LocatedAddress {
  enum class What : std::uint8_t { heap_block, global, frame };
  enum class Where : std::uint8_t { inside, before, after };

  Address address;
  What what = What::heap_block;
  Where where = Where::inside;
  std::uint64_t distance = 0;       ///< bytes into, before, or after the object
  std::optional<ByteRange> object;  ///< unknown for a frame
  std::string name;                 ///< of a global, as printed
  std::string thread;               ///< of a frame: "T0"
  std::uint64_t frame_offset = 0;   ///< of the address in the frame
};

/// Parses "0x… is located 4 bytes inside of 16-byte region [0x…,0x…)", "… of global variable 'x'
/// defined in 'a.c:3:5' (0x…) of size 16" and "Address 0x… is located in stack of thread T0 at
/// offset 36 in frame".
[[nodiscard]] std::optional<LocatedAddress> parse_located_address(std::string_view text);

/// Is it the beginning of such a description, the end of which is missing?
[[nodiscard]] bool is_open_located_address(std::string_view text);

/// "[32, 36) 'x' (line 5) <== Memory access at offset 36 overflows this variable".
struct FrameVariable {
  std::uint64_t begin = 0;  ///< offset in the frame
  std::uint64_t end = 0;
  std::string name;
  bool accessed = false;  ///< marked by the arrow
};

[[nodiscard]] std::optional<FrameVariable> parse_frame_variable(std::string_view text);

}  // namespace culprit::crash
