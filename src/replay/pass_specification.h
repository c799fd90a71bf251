// A PassSpec in the agent's terms: debug registers assigned, marks resolved, tables from the index.
#pragma once

#include <vector>

#include "agent/protocol.h"
#include "base/result.h"
#include "replay/replay.h"
#include "replay/trace_index.h"

namespace culprit::replay {

/// What the driver sends before a pass. The first probes of `spec` are PassSpec::probes in order;
/// those of marks follow where they equal none of them.
struct PassOrders {
  agent::wire::Spec spec;
  std::vector<agent::wire::Clones::Entry> clones;
  std::vector<agent::wire::KernelWrites::Entry> kernel_writes;
};

/// Errors: usage (too many debug registers or probes, a range that cannot be watched, a mark that
/// cannot be one).
[[nodiscard]] Result<PassOrders> make_orders(const PassSpec& pass, const TraceIndex& index,
                                             std::uint64_t max_hits);

}  // namespace culprit::replay
