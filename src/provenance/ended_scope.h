// Variables of a living frame whose block has been left.
#pragma once

#include <cstdint>
#include <optional>

#include "base/memory.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "report/model.h"

namespace culprit::provenance {

/// The variable that a pointer of value `pointer` was made for, where that is one whose scope has
/// ended: frame `holder` of the moment has a variable just there, out of scope at its pc, of the
/// type that a pointer variable of frame `user` with that value is declared to point to; and no
/// variable in scope is of that type there. As a location of the whole variable. `memory`: of the
/// moment.
[[nodiscard]] std::optional<report::Location> ended_variable_pointed_to(
    const ProcessImage& image, const Moment& moment, std::size_t user, std::size_t holder,
    Address pointer, const MemoryReader& memory);

/// True if `owner`, a variable as it was named at an earlier moment, is in a frame that lives at
/// this one, in memory, and its scope does not cover that frame's pc.
[[nodiscard]] bool scope_has_ended(const ProcessImage& image, const Moment& moment,
                                   const report::Owner& owner, const MemoryReader& memory);

}  // namespace culprit::provenance
