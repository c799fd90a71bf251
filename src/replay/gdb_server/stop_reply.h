// Why a gdb server says that the program has stopped.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/types.h"

namespace culprit::replay::gdb {

/// A thread as gdb names it: "p<process>.<thread>", both hexadecimal. With rr these are the
/// recorded ids.
struct ThreadName {
  ProcessId process;
  ThreadId thread;
  auto operator<=>(const ThreadName&) const = default;
};

/// "p1a2b.1a2c". Nothing for other texts, and for 0 and -1 ("any", "all").
[[nodiscard]] std::optional<ThreadName> parse_thread(std::string_view text);
[[nodiscard]] std::string print_thread(const ThreadName& thread);

struct StopReply {
  enum class Kind : std::uint8_t {
    signal,  ///< stopped; SIGTRAP for steps, breakpoints and watchpoints
    exited,  ///< the process has ended with `code` (the end of a replay, in rr)
    killed,  ///< ended by `signal`
  };
  Kind kind = Kind::signal;
  /// As gdb numbers them (gdb/include/gdb/signals.def): the first 15 that exist in Linux too,
  /// except 7 and 10 (SIGBUS), are the same.
  int signal = 0;
  int code = 0;
  std::optional<ThreadName> thread;
  std::optional<Address> watch;  ///< the watchpoint that was hit
  bool breakpoint = false;       ///< the server says that it was one
  enum class End : std::uint8_t { none, begin, end };
  End history = End::none;  ///< the beginning or the end of the recording was reached
};

/// "T05thread:p1.1;watch:4a62e0;", "S05", "W00", "X09". Errors: bad_input.
[[nodiscard]] Result<StopReply> parse_stop_reply(std::string_view payload);

}  // namespace culprit::replay::gdb
