// The processes that one rr process traces.
#pragma once

#include <sys/types.h>

#include <vector>

namespace culprit::recorder {

/// All processes whose tracer is `rr`, wherever they have been reparented to. Reads all of /proc:
/// for rare use.
[[nodiscard]] std::vector<pid_t> list_tracees(pid_t rr);

/// Sends `signal` to each of them; returns how many there were.
std::size_t signal_tracees(pid_t rr, int signal);

}  // namespace culprit::recorder
