// The driver's end of one pass: feeds the agent its orders, its messages to the observer.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "agent/protocol.h"
#include "base/file_descriptor.h"
#include "base/result.h"
#include "replay/pass_specification.h"
#include "replay/replay.h"

namespace culprit::replay {

/// One session over a socket whose other end is the agent's (or a test's). Owns the socket; knows
/// nothing of processes.
class ForwardSession {
 public:
  using Clock = std::chrono::steady_clock;

  ForwardSession(FileDescriptor socket, const PassOrders& orders, const PassSpec& pass,
                 PassObserver& observer, Clock::time_point deadline);

  /// Runs the session to its end. Errors: replay_failed with an empty message if the agent's end
  /// was closed before Done (the caller knows why rr died), timeout, bad_input (more hits than
  /// allowed), usage (refused by the agent), internal (it does not speak the protocol).
  [[nodiscard]] Result<PassResult> run();

  /// Real tids of the tasks that the replay made.
  const std::vector<std::int32_t>& tasks() const { return tasks_; }
  /// System call entries that the agent counted, by recorded thread, in order of creation.
  const std::vector<agent::wire::ThreadCount>& thread_counts() const { return thread_counts_; }

 private:
  friend class SessionLiveState;

  /// The next frame; its payload is valid until the next call.
  Result<agent::wire::FrameView> receive();
  Status send_bytes(const std::vector<std::uint8_t>& bytes);
  template <typename M>
  Status send(const M& message) {
    std::vector<std::uint8_t> bytes;
    agent::wire::append_frame(bytes, message);
    return send_bytes(bytes);
  }
  template <typename M>
  Result<M> receive_as();
  /// Sends a request at a live stop and takes the answer; an error of the channel is remembered.
  template <typename Reply, typename Request>
  Result<Reply> ask(const Request& request);

  Status send_orders();
  Status on_hit(const agent::wire::Hit& hit);
  Status on_end(const agent::wire::EndReached& end);
  /// Cuts the window to what was asked for.
  void trim_window();
  Status on_steps(const agent::wire::StepChunk& chunk);
  Status finish_early();

  FileDescriptor socket_;
  const PassOrders& orders_;
  const PassSpec& pass_;
  PassObserver& observer_;
  Clock::time_point deadline_;
  std::vector<std::uint8_t> buffer_;
  std::size_t used_ = 0;  ///< bytes of buffer_ handed out
  std::vector<std::int32_t> tasks_;
  std::vector<agent::wire::ThreadCount> thread_counts_;
  std::optional<Error> channel_error_;
  std::optional<StepWindow> window_;
  std::uint64_t window_total_ = 0;
  bool stopping_ = false;  ///< the observer wants no more
};

}  // namespace culprit::replay
