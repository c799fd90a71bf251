// Where a pass begins and ends in rr's process.
#include <sys/prctl.h>
#include <unistd.h>

#include <memory>

#include "agent/landing_counter.h"
#include "agent/pass/control_channel.h"
#include "agent/pass/pass_engine.h"
#include "agent/pass/pass_plan.h"
#include "agent/start.h"
#include "agent/tracee_filter.h"

namespace culprit::agent {
namespace {

// Never destroyed: rr may still wait for tasks while other destructors run.
ControlChannel* channel = nullptr;
PassEngine* engine = nullptr;

/// rr leaves main() at the end of the trace.
[[gnu::destructor]] void pass_at_exit() {
  if (engine != nullptr) engine->trace_ended();
}

}  // namespace

void start_pass_if_requested(int control_fd) {
  if (control_fd < 0 || engine != nullptr) return;
  // Tasks whose replayed parent has died become children of rr, so that leave() can reap them all.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  channel = new ControlChannel(control_fd);
  auto plan = receive_plan(*channel);
  if (!plan) ::_exit(1);
  if (plan->spec.units.size() + landing_counter().landings().size() > wire::kMaxUnits) {
    channel->send(wire::Failed{wire::Failed::Reason::usage,
                               "the pass and the landings of this trace need more than the "
                               "processor's four debug registers"});
    channel->flush();
    ::_exit(1);
  }
  engine = new PassEngine(*channel, std::move(*plan));
  install_filter(engine);
}

}  // namespace culprit::agent
