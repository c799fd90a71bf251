// The report for a person at a terminal: the verdict first, then the chain, then how to go there.
#pragma once

#include <string>

#include "report/model.h"

namespace culprit::report {

/// How to lay it out.
struct TextOptions {
  bool colour = false;     ///< ANSI colours; only if the caller knows that it writes to a terminal
  unsigned columns = 100;  ///< width to wrap to; 40–400, other values are brought into that range
  bool backtraces = false;  ///< the backtrace of each hop too
};

/// The text form, valid UTF-8, with a newline at the end. Strings of the program are stripped of
/// control and escape sequences.
[[nodiscard]] std::string to_text(const Report& report, const TextOptions& options = {});

}  // namespace culprit::report
