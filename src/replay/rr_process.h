// Starting rr for replays and dumps, and making sense of what it says when it fails.
#pragma once

#include <string>
#include <string_view>

#include "base/subprocess.h"
#include "replay/trace_index.h"

namespace culprit::replay {

/// Options for one rr process (argv is left to the caller): no input, output dropped, stderr
/// captured, the agent preloaded if there is one. `control_fd` is the agent's socket, -1 for none.
[[nodiscard]] ProcessOptions rr_process_options(const RrCommand& command, int control_fd);

/// The line of rr's stderr that says most: the last FATAL or ERROR one, else the last one that is
/// not part of a backtrace; `fallback` if there is none. At most 500 characters.
[[nodiscard]] std::string rr_complaint(std::string_view standard_error, std::string_view fallback);

}  // namespace culprit::replay
