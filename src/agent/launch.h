// The driver's side: finding the agent library and loading it into an rr process.
#pragma once

#include <filesystem>

#include "agent/config.h"
#include "base/result.h"
#include "base/subprocess.h"

namespace culprit::agent {

/// The agent library: $CULPRIT_AGENT_LIB, else ../lib/libculprit-agent.so beside the directory of
/// this program (build tree), else the installed place. Absolute. Errors: not_found.
[[nodiscard]] Result<std::filesystem::path> find_agent();

/// Makes `options` start rr with the agent loaded and configured. Adds to its environment and to
/// keep_fds; the user's own LD_PRELOAD (of this process) is handed on to the program under test.
/// argv[0] must be rr itself: a wrapper in between (timeout, env) would eat the preload.
void preload_agent(ProcessOptions& options, const std::filesystem::path& agent, AgentConfig config);

}  // namespace culprit::agent
