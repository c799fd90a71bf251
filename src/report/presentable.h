// From any report in memory to one that is fit to be written or shown.
#pragma once

#include "report/model.h"

namespace culprit::report {

/// Numbered, with what follows from the rest filled in (title, fix, fingerprint), cut to kMaxHops
/// hops (a warning says so), and without links to hops that are cut off.
[[nodiscard]] Report completed(const Report& original);

/// completed(), and every string is harmless, of valid UTF-8 and within its limit, every list
/// within its (limits.h, sanitize.h): what comes back from the report's JSON. Formats start from
/// this, so that they only have to escape for their own syntax, and cannot forget a member.
[[nodiscard]] Report presentable(const Report& original);

}  // namespace culprit::report
