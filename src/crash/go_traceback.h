// Reading Go tracebacks: stack headers and frames.
//
// The format is written by runtime/traceback.go (traceback1/traceback2, printArgs, printcreatedby,
// goroutineheader, printOneCgoTraceback) and panic.go (dopanic_m: "runtime stack:"); read from Go
// 1.4, 1.9, 1.19.8 and 1.26. Frames have fp=, sp= and pc= at GOTRACEBACK=system and after a throw;
// headers have gp=, m= and mp= from Go 1.23 on; "in goroutine N" after "created by" from Go 1.21
// on.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "crash/crash_report.h"
#include "crash/text_lines.h"

namespace culprit::crash {

/// "runtime stack:" or "goroutine N … [state]:" → a Stack without frames. Nothing for other lines.
[[nodiscard]] std::optional<Stack> parse_stack_header(std::string_view line);

/// A frame found at the reader's current line.
struct ParsedFrame {
  Frame frame;
  std::size_t lines = 0;    ///< how many lines of the reader it takes
  bool created_by = false;  ///< it is the stack's "created by"
};

/// The frame that begins at the current line, if one does; nothing is consumed. Frames that a
/// mailer has folded are put together again, and up to two foreign lines between a frame's two
/// lines (another thread's output) are skipped.
[[nodiscard]] std::optional<ParsedFrame> parse_frame(TextLines& lines, const LinePrefix& prefix);

/// "...additional frames elided..." and its newer form "...N frames elided...".
[[nodiscard]] bool is_elision(std::string_view line);

}  // namespace culprit::crash
