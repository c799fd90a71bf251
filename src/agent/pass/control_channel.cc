#include "agent/pass/control_channel.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace culprit::agent {

ControlChannel::~ControlChannel() { ::syscall(SYS_close, fd_); }

void ControlChannel::flush() {
  std::size_t done = 0;
  while (good_ && done < out_.size()) {
    // MSG_NOSIGNAL: a dead driver must not kill rr by SIGPIPE before its tracees are gone.
    const ssize_t sent = ::send(fd_, out_.data() + done, out_.size() - done, MSG_NOSIGNAL);
    if (sent > 0) {
      done += static_cast<std::size_t>(sent);
    } else if (sent < 0 && errno != EINTR) {
      good_ = false;
    }
  }
  out_.clear();
}

bool ControlChannel::fill(bool wait) {
  std::uint8_t buffer[16 * 1024];
  for (;;) {
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, wait ? 0 : MSG_DONTWAIT);
    if (got > 0) {
      in_.insert(in_.end(), buffer, buffer + got);
      return true;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && !wait && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    good_ = false;
    return false;
  }
}

std::optional<wire::FrameView> ControlChannel::take() {
  if (consumed_ > 0) {
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(consumed_));
    consumed_ = 0;
  }
  wire::FrameView frame;
  switch (wire::next_frame(in_, frame)) {
    case wire::FrameState::complete:
      consumed_ = frame.size;
      return frame;
    case wire::FrameState::malformed:
      good_ = false;
      return std::nullopt;
    case wire::FrameState::partial:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<wire::FrameView> ControlChannel::receive() {
  while (good_) {
    if (auto frame = take()) return frame;
    if (good_ && !fill(true)) return std::nullopt;
  }
  return std::nullopt;
}

std::optional<wire::FrameView> ControlChannel::poll() {
  while (good_) {
    if (auto frame = take()) return frame;
    if (!good_ || !fill(false)) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace culprit::agent
