// Which engine records here, and which one replays a given trace here.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "recorder/engine_probe.h"

namespace culprit::recorder {

/// What a recording uses: what was asked for, else hardware counters wherever they can be used,
/// else software ticks. `counters` is what probe_hardware_counters() found.
[[nodiscard]] Engine choose_recording_engine(std::optional<Engine> wanted,
                                             const Capability& counters);

/// What replays a trace. Only the trace can tell how it was made: rr's header names the kind of
/// branches that were counted (ticksSemantics), but the same one for software ticks; its frames'
/// tick counts are all 0 with software ticks, and never with a counter, since the first branch of
/// the program is counted. A trace without ticks is replayed with software ticks even where there is
/// a counter: real counts would not match. Errors: replay_failed (it has ticks, and there is no
/// counter here).
[[nodiscard]] Result<Engine> choose_replay_engine(bool trace_has_ticks,
                                                  const Capability& counters);

/// rr's own words for counters that it cannot use, although they could be opened here.
[[nodiscard]] bool is_counter_complaint(std::string_view rr_text);

/// rr before 5.9 does not know Linux 6.13's [vvar_vclock]; the agent hides it from rr. With software
/// ticks it is there anyway; with hardware counters it has to be loaded for that alone.
[[nodiscard]] bool needs_maps_merged(const RrProgram& rr, bool split_vvar);

}  // namespace culprit::recorder
