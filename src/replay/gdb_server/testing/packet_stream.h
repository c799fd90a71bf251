// A server's end of a connection, for tests: packets come in, bytes go out, however wrong.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <string>
#include <string_view>
#include <utility>

#include "base/file_descriptor.h"
#include "replay/gdb_server/packet.h"

namespace culprit::replay::gdb {

class PacketStream {
 public:
  /// Looks every `look_ms` milliseconds whether it is to stop.
  explicit PacketStream(int look_ms) : look_ms_(look_ms) {}

  /// Makes the connection; the client's end, empty if there is none.
  FileDescriptor open() {
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return FileDescriptor();
    server_ = FileDescriptor(ends[1]);
    return FileDescriptor(ends[0]);
  }
  void close() { server_.reset(); }
  bool is_open() const { return static_cast<bool>(server_); }
  /// From another thread: next() ends once nothing more comes.
  void stop() { stop_ = true; }

  /// The next packet; false at the end of the stream.
  bool next(std::string& out) {
    for (;;) {
      auto token = decoder_.next();
      if (!token.ok()) return false;
      if (*token) {
        if ((*token)->kind == Token::Kind::acknowledged) acknowledgements_ += '+';
        if ((*token)->kind == Token::Kind::refused) acknowledgements_ += '-';
        if ((*token)->kind != Token::Kind::packet) continue;
        out = (*token)->payload;
        return true;
      }
      pollfd wanted{server_.get(), POLLIN, 0};
      if (::poll(&wanted, 1, look_ms_) <= 0) {
        if (stop_) return false;
        continue;
      }
      char buffer[4096];
      const ssize_t n = ::recv(server_.get(), buffer, sizeof buffer, 0);
      if (n <= 0) return false;
      decoder_.feed(std::string_view(buffer, static_cast<std::size_t>(n)));
    }
  }

  /// False if the client has gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(server_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  /// "+" and "-" in the order in which they came; once nobody calls next().
  const std::string& acknowledgements() const { return acknowledgements_; }

 private:
  int look_ms_;
  FileDescriptor server_;
  PacketDecoder decoder_;
  std::string acknowledgements_;
  std::atomic<bool> stop_{false};
};

}  // namespace culprit::replay::gdb
