// What stood behind an address during the recording: the mappings that held it, one after the
// other.
#pragma once

#include <vector>

#include "base/types.h"
#include "provenance/process_image.h"
#include "replay/replay.h"
#include "replay/trace_index.h"
#include "report/model.h"

namespace culprit::provenance {

/// A system call after which other memory, or none, is at an address.
struct MappingChange {
  EventNumber event;  ///< of its return
  ThreadId thread;
  bool made = false;  ///< memory was mapped there; false: taken away
  ByteRange range;    ///< all that it mapped or took away
  replay::Hit::Kernel syscall;
  replay::Mark entry;  ///< the thread is about to make the call
};

/// The mmap, munmap and mremap calls of `process` that changed what is at `address`, in frames
/// before `until` and after the process's last exec, oldest first; the newest 64.
[[nodiscard]] std::vector<MappingChange> mapping_changes(const replay::TraceIndex& index,
                                                         ProcessId process, Address address,
                                                         EventNumber until);

/// The same changes as the periods of an address's life, oldest first. A period in which a thread's
/// stack pointer was in the mapping is described as that thread's stack.
[[nodiscard]] std::vector<report::RegionPeriod> mapping_history(const ProcessImage& image,
                                                                Address address, EventNumber until);

}  // namespace culprit::provenance
