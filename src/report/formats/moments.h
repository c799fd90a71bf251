// The moments of a chain in the order in which they happened, for pictures with a time axis.
#pragma once

#include <cstdint>
#include <vector>

#include "report/model.h"

namespace culprit::report {

enum class MomentKind : std::uint8_t {
  hop,          ///< the hop itself
  owner_born,   ///< the owner of the hop's slot came to be
  owner_died,   ///< … and ceased to be
  period_from,  ///< one of the periods of Location::history began
  period_to,    ///< … and ended
};

struct Moment {
  MomentKind kind = MomentKind::hop;
  std::uint32_t hop = 0;   ///< index of the hop that it belongs to
  std::size_t period = 0;  ///< index in Location::history, for periods
  std::int64_t event = 0;  ///< rr's event; that of the hop it leads to, where it is not known
};

/// All moments of the report, the earliest first. A hop comes before the hop that it explains,
/// whatever the events say; moments of one event follow the chain.
[[nodiscard]] std::vector<Moment> moments_of(const Report& report);

}  // namespace culprit::report
