#include "provenance/unmapping.h"

#include <utility>

#include "provenance/region_life.h"
#include "provenance/visit.h"

namespace culprit::provenance {

Result<std::optional<Unmapping>> find_unmapping(replay::Replay& replay, const ProcessImage& image,
                                                Address address, std::chrono::milliseconds deadline,
                                                report::Stats& stats) {
  const std::optional<Unmapping> nothing;
  if (image.mapping_of(address) != nullptr) return nothing;
  const EventNumber last{image.mapped_at().value - 1};
  const auto life = mapping_life(image.index(), image.process(), last, address);
  if (life.empty() || !life.back().to || !life.back().to->call || !life.back().to->caller) {
    return nothing;
  }
  const RegionEvent& end = *life.back().to;
  CULPRIT_ASSIGN(auto moment, visit(replay, image, *end.caller, deadline, stats));
  if (!moment) return nothing;
  return std::optional(Unmapping{*std::move(moment), *end.call});
}

}  // namespace culprit::provenance
