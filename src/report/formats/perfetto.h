// Trace events that ui.perfetto.dev and chrome://tracing open: the chain across processes and
// threads.
#pragma once

#include <string>

#include "report/model.h"

namespace culprit::report {

/// The JSON of Chrome's Trace Event Format: one slice for each hop on its thread's track, and a
/// flow arrow from each hop to the hop that it explains, from the origin to the crash. The time
/// axis is the order of the hops (10 us each), since a recording has event numbers and no clock;
/// each slice's arguments hold the event. `report` is presentable().
[[nodiscard]] std::string to_perfetto(const Report& report);

}  // namespace culprit::report
