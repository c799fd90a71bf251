// Reports made by hand, for tests only.
#pragma once

#include <cstdint>

#include "report/model.h"

namespace culprit::report {

/// Every member of every type differs from a fresh one.
[[nodiscard]] Report full_report();

/// The least that a front end fills in: a crash that nothing is known about.
[[nodiscard]] Report minimal_report();

/// Every string that a program controls is an attack: escapes, markup, invalid UTF-8, 10 MB, and
/// every list is over its limit.
[[nodiscard]] Report hostile_report();

/// A chain of `hops` hops (at least 4) as a real one could be: three threads of two processes, memory of
/// all kinds with its owners' lives, a side branch, source excerpts and backtraces of 12 frames.
[[nodiscard]] Report long_report(std::uint32_t hops);

}  // namespace culprit::report
