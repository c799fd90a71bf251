#include "report/formats/moments.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace culprit::report {
namespace {

// An event number, or `otherwise` if it is not known; never after `latest`.
std::int64_t event_of(const Position& position, std::int64_t latest) {
  return position.event ? std::min(position.event.value, latest) : latest;
}

// Within one event: deeper hops first, and the life of a slot's owner around its hop.
int place_in_event(const Report& report, const Moment& moment) {
  switch (moment.kind) {
    case MomentKind::period_from:
    case MomentKind::period_to:
      return 0;
    case MomentKind::owner_born:
      return 1;
    case MomentKind::hop:
      return 3;
    case MomentKind::owner_died: {
      const Life& life = report.hops[moment.hop].location->owner->life;
      return life.alive_at_write == true ? 4 : 2;
    }
  }
  return 3;
}

}  // namespace

std::vector<Moment> moments_of(const Report& report) {
  std::vector<Moment> moments;
  std::vector<std::int64_t> events(report.hops.size());
  for (std::uint32_t i = 0; i < report.hops.size(); ++i) {
    const Hop& hop = report.hops[i];
    const bool linked = hop.parent && *hop.parent < i;
    const std::int64_t latest =
        linked ? events[*hop.parent] : std::numeric_limits<std::int64_t>::max();
    events[i] = event_of(hop.position, latest);
    moments.push_back({MomentKind::hop, i, 0, events[i]});
    if (!hop.location) continue;
    const auto add = [&](MomentKind kind, const std::optional<LifeEvent>& event,
                         std::size_t period) {
      if (!event || !event->position.event) return;
      moments.push_back({kind, i, period, event->position.event.value});
    };
    if (hop.location->owner) {
      add(MomentKind::owner_born, hop.location->owner->life.born, 0);
      add(MomentKind::owner_died, hop.location->owner->life.died, 0);
    }
    for (std::size_t p = 0; p < hop.location->history.size(); ++p) {
      add(MomentKind::period_from, hop.location->history[p].from, p);
      add(MomentKind::period_to, hop.location->history[p].to, p);
    }
  }
  std::stable_sort(moments.begin(), moments.end(), [&](const Moment& a, const Moment& b) {
    // A greater index is a deeper hop.
    return std::tuple(a.event, -std::int64_t{a.hop}, place_in_event(report, a)) <
           std::tuple(b.event, -std::int64_t{b.hop}, place_in_event(report, b));
  });
  return moments;
}

}  // namespace culprit::report
