// What the recorded program wrote to its standard output and error, and by which system call.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "replay/trace_index.h"

namespace culprit::replay {

/// One write to stdout or stderr, through whatever descriptor.
struct OutputWrite {
  int stream = 1;     ///< 1 or 2
  EventNumber event;  ///< the call's entry
  ThreadId thread;
  std::uint64_t ordinal = 0;  ///< Mark::syscall_entry's
  std::string bytes;
};

/// One replay with rr's marks (`rr -M replay -a`): rr prints "[rr PID EVENT]" before the bytes of
/// each write (src/StdioMonitor.cc of rr 5.6.0), EVENT being the call's entry. How many bytes
/// follow is known from the index, so that nothing that the program prints can pass for a mark. At
/// most 64 MiB of each stream: what is beyond is left out. In the order of the events. Errors:
/// replay_failed, timeout.
[[nodiscard]] Result<std::vector<OutputWrite>> output_writes(const std::filesystem::path& trace,
                                                             const RrCommand& command,
                                                             const TraceIndex& index,
                                                             std::chrono::milliseconds deadline);

/// The same of one stream's marked text; lines of rr's own between writes are passed over.
[[nodiscard]] std::vector<OutputWrite> parse_marked_output(std::string_view text, int stream,
                                                           const TraceIndex& index);

}  // namespace culprit::replay
