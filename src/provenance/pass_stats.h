// Private to provenance/: what a pass cost, added to the report's sum.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/result.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

inline void count(report::Stats& stats, const replay::PassResult& pass) {
  stats.passes += 1;
  for (const std::uint64_t hits : pass.raw_hits) stats.hits += hits;
  if (pass.window) stats.steps += pass.window->steps.size();
}

/// So many hits of an instruction are followed, some 3.5 s: what is executed more often (the inner loop of a
/// program that computes for a minute) has to be found in another way.
inline constexpr std::uint64_t kHotCode = 100'000;

/// Runs a pass that is given up after `most` hits: nothing then. Counted in any case.
[[nodiscard]] inline Result<std::optional<replay::PassResult>> run_unless_hot(
    replay::Replay& replay, replay::PassSpec spec, replay::PassObserver& observer,
    report::Stats& stats, std::uint64_t most = kHotCode) {
  spec.stop_budget = most;
  auto pass = replay.run(spec, observer);
  if (!pass.ok() && pass.error().code == ErrorCode::bad_input) {
    stats.passes += 1;
    stats.hits += most;
    return std::optional<replay::PassResult>{};
  }
  if (!pass.ok()) return pass.error();
  count(stats, *pass);
  return std::optional(*std::move(pass));
}

}  // namespace culprit::provenance
