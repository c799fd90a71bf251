// How the agent's constructor hands over to the pass engine, if that is linked in.
#pragma once

namespace culprit::agent {

/// Called once in rr's replay process, before main(), if the driver gave a control descriptor (now
/// close-on-exec). The pass engine reads its orders from it and installs its filter. Weak: without
/// the pass engine the library replays with software ticks alone.
[[gnu::weak]] void start_pass_if_requested(int control_fd);

}  // namespace culprit::agent
