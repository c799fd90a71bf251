// The agent's end of the socket to the driver: blocking, buffered for writing.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "agent/protocol.h"

namespace culprit::agent {

/// Frames in both directions over one socket (owned). A failure of the socket (the driver died, or
/// sent what is no frame) makes good() false for ever; sending is then a no-op.
class ControlChannel {
 public:
  explicit ControlChannel(int fd) : fd_(fd) {}
  ~ControlChannel();
  ControlChannel(const ControlChannel&) = delete;
  ControlChannel& operator=(const ControlChannel&) = delete;

  bool good() const { return good_; }

  /// Queues a message; flushes by itself when much is queued.
  template <typename M>
  void send(const M& message) {
    wire::append_frame(out_, message);
    if (out_.size() >= kFlushAt) flush();
  }
  /// Writes out what is queued. Blocks until the driver has taken it.
  void flush();

  /// The next frame, waiting for it. Valid until the next call; nothing when the channel failed.
  std::optional<wire::FrameView> receive();
  /// The next frame if one has arrived completely; never waits.
  std::optional<wire::FrameView> poll();

 private:
  static constexpr std::size_t kFlushAt = 48 * 1024;
  std::optional<wire::FrameView> take();
  bool fill(bool wait);

  int fd_;
  bool good_ = true;
  std::vector<std::uint8_t> out_;
  std::vector<std::uint8_t> in_;
  std::size_t consumed_ = 0;  ///< of in_: the frame handed out last
};

}  // namespace culprit::agent
