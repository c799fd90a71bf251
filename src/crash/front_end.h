// The interface of a crash-report front end: a pure function of text, one file for each runtime.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "crash/crash_report.h"

namespace culprit::crash {

/// Finds the crashes of one runtime in a program's output.
///
/// The text is untrusted: any bytes, any size, cut anywhere, mixed with other output. A front end
/// takes time linear in the text, bounded memory, and never fails: it finds nothing instead.
struct FrontEnd {
  std::string_view name;  ///< "go", "signal"
  /// Reports in the order of the text; empty if this front end has nothing to say.
  std::vector<CrashReport> (*parse)(std::string_view text, const ExitInfo& exit);
};

/// All front ends, the most telling first: at equal kind its reports win.
[[nodiscard]] std::span<const FrontEnd> front_ends();

/// The reports of all front ends, best first: a report that names a suspect before one that does
/// not, a runtime's text before a bare signal, one that says more of the bug (HintStrength) before
/// one that says less, the first fatal one of a text before its successors. Never empty if the
/// program failed (`exit` has a signal, or a status that is not 0).
[[nodiscard]] std::vector<CrashReport> parse(std::string_view text, const ExitInfo& exit = {});

}  // namespace culprit::crash
