// One connection to a gdb server: packets out, packets in, each within a deadline.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "replay/gdb_server/packet.h"

namespace culprit::replay::gdb {

/// A file that every packet is written to, one a line: seconds since it was opened, "->" (to the
/// server) or "<-", the payload with bytes that are not printable as \xNN, at most 2 KiB of each.
class TranscriptLog {
 public:
  /// Creates the file (mode 0600), or empties it. Errors: io.
  [[nodiscard]] static Result<std::shared_ptr<TranscriptLog>> open(const std::string& path);
  void write(std::string_view direction, std::string_view payload);

 private:
  explicit TranscriptLog(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
  std::chrono::steady_clock::time_point opened_ = std::chrono::steady_clock::now();
};

/// The connection. After an error of receive() or exchange() other than `usage` it is closed, and
/// all later calls fail in the same way: what the server then thinks is not known.
class Connection {
 public:
  /// `socket` is a connected stream socket; `log` may be null.
  Connection(FileDescriptor socket, std::shared_ptr<TranscriptLog> log);

  /// Sends a packet and waits for its reply. Errors: timeout, replay_failed (the other side has
  /// closed the connection), bad_input (it does not keep to the protocol), usage (the payload is
  /// longer than `limit`), interrupted (base/signals.h), io.
  [[nodiscard]] Result<std::string> exchange(std::string_view payload,
                                             std::chrono::milliseconds deadline);
  /// No acknowledgements from now on (after QStartNoAckMode was answered).
  void stop_acknowledging() { acknowledges_ = false; }
  /// Longest payload that is sent: a server may end on a longer one.
  void set_limit(std::size_t limit) { limit_ = limit; }
  [[nodiscard]] bool closed() const { return !socket_; }

 private:
  using Clock = std::chrono::steady_clock;
  [[nodiscard]] Status send(std::string_view bytes, Clock::time_point deadline);
  [[nodiscard]] Status drain();
  [[nodiscard]] Result<Token> receive(Clock::time_point deadline);
  [[nodiscard]] Status wait_for(short events, Clock::time_point deadline);
  Error close_with(Error error);

  FileDescriptor socket_;
  std::shared_ptr<TranscriptLog> log_;
  PacketDecoder decoder_;
  bool acknowledges_ = true;
  std::size_t limit_ = 4096;
  Error last_error_;
};

}  // namespace culprit::replay::gdb
