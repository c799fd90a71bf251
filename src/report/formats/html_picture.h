// The picture of the HTML page: who did what when, and what the slots held.
#pragma once

#include <string>

#include "report/model.h"

namespace culprit::report {

/// An inline SVG on one time axis (the order of moments, left to right): above, a lane for each
/// thread with the hops as numbered circles and the value's way as arrows; below, a lane for each
/// slot with the lives of its owners as boxes and the stretches in which it held the value as a
/// thick line. Empty if there are no hops. At most 120 hops (the first and the last ones) and 16
/// slots are drawn. Colours come from the page's style. `report` is presentable().
[[nodiscard]] std::string chain_picture(const Report& report);

}  // namespace culprit::report
