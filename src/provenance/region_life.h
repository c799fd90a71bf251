// What an address belonged to, as the trace's system calls tell it: mappings that came and went,
// and threads whose stack or thread-local storage it was.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "replay/replay.h"
#include "replay/trace_index.h"
#include "report/model.h"

namespace culprit::provenance {

/// A system call that changed what an address belongs to, or the start or end of a thread.
struct RegionEvent {
  EventNumber event;                   ///< the entry of the call
  ThreadId thread;                     ///< whose call it was
  ProcessId process;                   ///< of that thread: the parent's, before a fork
  std::string description;             ///< "munmap(0x7f…, 0x1000)", "thread 17 ended"
  std::optional<replay::Mark> caller;  ///< just before the call, where its backtrace can be seen
  /// The call, with `remapped` set; none for the start and the end of threads and processes.
  std::optional<replay::Hit::Kernel> call;
  ByteRange arguments;  ///< munmap, mremap: the memory that the call was given; else empty
};

/// What the address was for a time.
struct RegionTime {
  report::RegionKind kind = report::RegionKind::mapping;
  ByteRange range;
  std::string description;          ///< "anonymous mapping, rw-p", "stack of thread 17"
  std::string path;                 ///< of the mapped file, or empty
  std::optional<RegionEvent> from;  ///< none: from before the recording shows
  std::optional<RegionEvent> to;    ///< none: until the end
  std::optional<ThreadId> owner;    ///< a part of a mapping: this thread's stack or descriptor
};

/// All of them, by their beginning.
struct RegionLife {
  std::vector<RegionTime> times;
  std::uint64_t left_out = 0;  ///< older changes that were not looked at
};

/// The life of `address` in `process` and, before a fork, in its parents, up to the frame `until`.
/// From the index alone: no pass is made. At most 512 changes are looked at, the newest.
[[nodiscard]] RegionLife region_life(const replay::TraceIndex& index, ProcessId process,
                                     EventNumber until, Address address);

/// Of that life the mappings alone, without what they were before a fork or an exec; each has its
/// beginning. One that was the stack of a thread is described as that.
[[nodiscard]] std::vector<RegionTime> mapping_life(const replay::TraceIndex& index,
                                                   ProcessId process, EventNumber until,
                                                   Address address);

[[nodiscard]] report::RegionPeriod period_of(const RegionTime& time);

/// "mremap(0x1000, 0x1000, 0x1000, 0x3, 0x2000) = 0x2000": with as many arguments as the call has.
[[nodiscard]] std::string call_text(std::uint64_t number,
                                    const std::array<std::uint64_t, 6>& arguments,
                                    std::int64_t result);

}  // namespace culprit::provenance
