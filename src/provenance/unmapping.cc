#include "provenance/unmapping.h"

#include <utility>
#include <vector>

#include "provenance/mapping_history.h"
#include "provenance/visit.h"

namespace culprit::provenance {

Result<std::optional<Unmapping>> find_unmapping(replay::Replay& replay, const ProcessImage& image,
                                                Address address, std::chrono::milliseconds deadline,
                                                report::Stats& stats) {
  const std::optional<Unmapping> nothing;
  if (image.mapping_of(address) != nullptr) return nothing;
  const auto changes = mapping_changes(image.index(), image.process(), address, image.mapped_at());
  if (changes.empty() || changes.back().made) return nothing;
  CULPRIT_ASSIGN(auto moment, visit(replay, image, changes.back().entry, deadline, stats));
  if (!moment) return nothing;
  return std::optional(Unmapping{*std::move(moment), changes.back().syscall});
}

}  // namespace culprit::provenance
