// Replaying a trace that has landings: counts their executions, so that rr reads the same ticks as
// it did when it recorded.
#pragma once

#include <sys/types.h>

#include <unordered_map>

#include "agent/landing_counter.h"
#include "agent/tracee_filter.h"

namespace culprit::agent {

/// The landings of the trace that this rr process was asked to replay: those of the first argument
/// that is a directory with a landings file. Empty if there is none.
LandingSet landings_of_trace();

class ReplayLandings final : public TraceeFilter {
 public:
  bool before_resume(pid_t tid, Resume resume) override;
  bool on_stop(pid_t tid, int status) override;

 private:
  std::unordered_map<pid_t, long> requests_;  ///< each task's last
};

}  // namespace culprit::agent
