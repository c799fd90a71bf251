// Go's scheduler structures at one moment: which m a thread runs, its g0, its current goroutine.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/memory.h"
#include "base/types.h"
#include "runtimes/go/layout.h"

namespace culprit::runtimes::go {

/// A goroutine's saved context (runtime.gobuf) and stack bounds.
struct Goroutine {
  Address address;        ///< the g
  std::uint64_t id = 0;   ///< goid; 0 for g0
  ByteRange stack;        ///< [lo, hi)
  Address sched_sp, sched_pc, sched_bp;
};

/// An m (an operating system thread of the runtime).
struct Machine {
  Address address;
  Address g0, curg, gsignal;  ///< curg is 0 between goroutines
};

/// The m whose procid (the kernel's thread id, runtime/os_linux.go minit) is `thread`; walks allm,
/// at most 100 000 entries. Nothing if the thread is none of the runtime's.
std::optional<Machine> machine_of(const Layout& layout, ThreadId thread, const MemoryReader& memory);

/// Reads one g. Nothing if its memory cannot be read.
std::optional<Goroutine> read_goroutine(const Layout& layout, Address g, const MemoryReader& memory);

/// The elements of a slice of pointers (allp, allgs) at `slice`, at most `limit`.
std::vector<Address> read_pointer_slice(Address slice, std::size_t limit,
                                        const MemoryReader& memory);

}  // namespace culprit::runtimes::go
