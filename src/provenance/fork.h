// The fork that made a process.
#pragma once

#include "replay/trace_index.h"

namespace culprit::provenance {

/// The fork that made `process`, which has had a copy of its parent's memory since; null for the
/// first process, and for one that shares its parent's memory (vfork).
[[nodiscard]] inline const replay::TraceClone* fork_of(const replay::TraceIndex& index,
                                                       ProcessId process) {
  constexpr std::uint64_t kCloneVm = 0x100;  // linux/sched.h
  for (const replay::TraceClone& clone : index.clones()) {
    if (clone.child.value == process.value && (clone.flags & kCloneVm) == 0) return &clone;
  }
  return nullptr;
}

}  // namespace culprit::provenance
