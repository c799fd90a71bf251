// Making strings of the program under test harmless for any reader: terminals, browsers, trackers.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace culprit::report {

/// Which control characters stay as they are.
enum class Lines {
  one,   ///< none: line feeds and tabs are escaped too
  code,  ///< tabs stay: a line of source or of disassembly
  many,  ///< line feeds and tabs stay
};

/// `text` as valid UTF-8 of at most `limit` bytes (limit >= 16), with nothing in it that acts on
/// the reader. Bytes that are not UTF-8 and control characters become "\xNN" (four characters);
/// characters that reorder, hide or end lines (bidirectional controls, U+2028/2029, zero-width and
/// BOM, noncharacters) become "\u{NNNN}". What is over the limit is cut off at a character and
/// replaced by "…". Harmless text comes back unchanged, so applying it twice changes nothing.
[[nodiscard]] std::string sanitize(std::string_view text, std::size_t limit,
                                   Lines lines = Lines::one);

}  // namespace culprit::report
