#include "agent/replay_landings.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include <string>

#include "agent/trace_file.h"

namespace culprit::agent {
LandingSet landings_of_trace() {
  LandingSet out;
  find_trace_file(landings_file, [&](const std::string& text) { return parse_landings(text, &out); });
  return out;
}

bool ReplayLandings::before_resume(pid_t tid, Resume resume) {
  requests_[tid] = resume.request;
  const int saved = errno;
  const bool armed = landing_counter().arm(tid);
  errno = saved;
  if (!armed) {
    // rr would end with a mismatch of ticks, which nobody understands.
    fprintf(stderr, "culprit: the kernel does not let debug registers be set\n");
  }
  return false;
}

bool ReplayLandings::on_stop(pid_t tid, int status) {
  if (!WIFSTOPPED(status)) {
    requests_.erase(tid);
    landing_counter().forget(tid);
    return false;
  }
  if (status >> 8 != SIGTRAP) return false;
  const int saved = errno;
  bool stepped = false;
  bool swallowed = false;
  if (landing_counter().on_trap(tid, &stepped) != LandingCounter::Hit::none) {
    if (stepped) {
      landing_counter().shown(tid);
    } else {
      swallowed = raw_ptrace(requests_[tid], tid, 0, 0) >= 0;
    }
  }
  errno = saved;
  return swallowed;
}

}  // namespace culprit::agent
