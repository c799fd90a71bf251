// The place that an expression of the program's source names: "page->b", "table[3].next", "*list".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/types.h"
#include "binary/variables.h"

namespace culprit::binary {

/// Memory that has a name in the program's source.
struct NamedPlace {
  Address address;
  std::uint64_t size = 0;  ///< bytes of its type; 0: not known
  std::string type_name;
};

/// Evaluates `expression` in a stopped thread. What it may hold:
///
///   name  a::name  main.name     a variable
///   e->m  e.m  e[i]  *e  (e)     as in C; `.` looks through a pointer or reference, too (Go, C++)
///
/// An index is a number (decimal, or hexadecimal with 0x) or an expression for an integer. A name
/// is looked up among the locals of the innermost frame that has debug information, then among the
/// globals, then among the locals of the other frames, outwards. `frames` is innermost first;
/// `memory` must be that of the stopped moment. No function is called and nothing is written.
/// Bounds: 256 bytes of text, 32 levels.
///
/// Errors: usage (not such an expression), not_found (no such variable or member; a value that is
/// in no memory; a pointer that cannot be read), each with the part of the expression that it is
/// about.
[[nodiscard]] Result<NamedPlace> find_place(const VariableFinder& variables,
                                            std::span<const FrameView> frames,
                                            const MemoryReader& memory,
                                            std::string_view expression);

}  // namespace culprit::binary
