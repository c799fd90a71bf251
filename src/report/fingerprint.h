// Stable hashes of the cause of a crash, for grouping reports.
#pragma once

#include "report/model.h"

namespace culprit::report {

/// Both keys of a report, made of the verdict's class and its cause site (or, without one, of the
/// chain's last main-line hop; or, without hops, of the crash's first frames). No addresses,
/// process or thread ids, directories, values or event numbers go in; symbol names lose the
/// suffixes that a compiler adds (".constprop.0", ".cold", "[clone …]") and the hashes of cgo and Rust,
/// variables their indices ("items[3]" is "items[]"), and file and module names their directories.
///
///  * loose: class, module, file, function, variable, member. Survives edits elsewhere in the file.
///  * strict: the same and the line of the site. Two causes in one function fall apart.
///
/// Each is a version prefix, a letter and 32 hex digits ("1s-…", "1l-…"): FNV-1a of 128 bits over
/// length-prefixed fields.
[[nodiscard]] Fingerprint fingerprint(const Report& report);

}  // namespace culprit::report
