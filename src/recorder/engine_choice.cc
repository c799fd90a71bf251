#include "recorder/engine_choice.h"

namespace culprit::recorder {

Engine choose_recording_engine(std::optional<Engine> wanted, const Capability& counters) {
  if (wanted) return *wanted;
  return counters.usable ? Engine::hardware : Engine::software;
}

Result<Engine> choose_replay_engine(bool trace_has_ticks, const Capability& counters) {
  if (!trace_has_ticks) return Engine::software;
  if (counters.usable) return Engine::hardware;
  return Error{ErrorCode::replay_failed,
               "it was recorded with hardware counters, which cannot be used here (" +
                   counters.detail + "); replay it where it was recorded, or record again here"};
}

bool is_counter_complaint(std::string_view rr_text) {
  // rr 5.6 PerfCounters.cc: start_counter(), check_working_counters().
  for (const std::string_view sign :
       {"Unable to open performance counter", "performance counter seems to not be working"}) {
    if (rr_text.find(sign) != std::string_view::npos) return true;
  }
  return false;
}

bool needs_maps_merged(const RrProgram& rr, bool split_vvar) {
  return split_vvar && (rr.major < 5 || (rr.major == 5 && rr.minor < 9));
}

}  // namespace culprit::recorder
