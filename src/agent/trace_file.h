// Files that the recorder has put into a trace for the agent.
#pragma once

#include <functional>
#include <string>

namespace culprit::agent {

/// Calls `accept` with the beginning (4 KiB) of each file `name` in a directory that this rr
/// process was given as an argument, until it returns true. False: none was accepted.
bool find_trace_file(const char* name, const std::function<bool(const std::string&)>& accept);

}  // namespace culprit::agent
