// rr as a gdb server for one debugger, on a port of the loopback device.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/subprocess.h"
#include "base/types.h"

namespace culprit::cli {

/// Which replay, and where it stands when the debugger connects.
struct ReplayServerOptions {
  std::filesystem::path rr;
  std::filesystem::path agent;
  bool software_ticks =
      true;  ///< the agent counts for rr; else only the agent's merged maps are used
  std::filesystem::path trace;
  EventNumber event;  ///< stands after this frame; 0: at the first one
  ProcessId process;  ///< of the debugger; 0: rr's choice (the process of the next frame)
};

/// A running `rr replay -s`. It and what it replays end with this object, or when the debugger
/// leaves.
class ReplayServer {
 public:
  /// Starts rr and returns once it listens, which is when the replay has come to the event: no
  /// limit of time, but an interruption ends it. rr's own socket is waited for, not a line on its
  /// stderr, which the recorded program writes to as well; nobody else's socket on that port is
  /// taken for it. Errors: replay_failed (with rr's reason), interrupted, io.
  [[nodiscard]] static Result<ReplayServer> start(const ReplayServerOptions& options);

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  ReplayServer(Process process, std::uint16_t port) : process_(std::move(process)), port_(port) {}
  Process process_;
  std::uint16_t port_;
};

}  // namespace culprit::cli
