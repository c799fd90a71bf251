// Private to provenance/: what a pass cost, added to the report's sum.
#pragma once

#include <cstdint>

#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

inline void count(report::Stats& stats, const replay::PassResult& pass) {
  stats.passes += 1;
  for (const std::uint64_t hits : pass.raw_hits) stats.hits += hits;
  if (pass.window) stats.steps += pass.window->steps.size();
}

}  // namespace culprit::provenance
