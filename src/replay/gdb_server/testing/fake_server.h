// A gdb server that follows a script, for tests: what it expects, and which bytes it sends, however
// wrong.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "replay/gdb_server/packet.h"

namespace culprit::replay::gdb {

/// One step of the script.
struct FakeStep {
  std::string expected;  ///< payload of the packet to wait for; empty: wait for nothing
  std::string sent;      ///< bytes for the stream
  bool closes = false;   ///< then the connection is closed
};

/// "payload" as a good packet.
inline std::string packet(std::string_view payload) { return frame(payload); }

class FakeServer {
 public:
  explicit FakeServer(std::vector<FakeStep> script) : script_(std::move(script)) {
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
    client_ = FileDescriptor(ends[0]);
    server_ = FileDescriptor(ends[1]);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeServer() {
    client_.reset();
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  FileDescriptor take_client() { return std::move(client_); }
  /// Packets that were not the expected ones, and acknowledgements ("+", "-") in order; after the
  /// end.
  std::vector<std::string> finish() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return surprises_;
  }
  std::string acknowledgements() const { return acknowledgements_; }

 private:
  /// The next packet; false at the end of the stream.
  bool next_packet(std::string& out) {
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
      if (::poll(&wanted, 1, 20) <= 0) {
        if (stop_) return false;
        continue;
      }
      char buffer[4096];
      const ssize_t n = ::recv(server_.get(), buffer, sizeof buffer, 0);
      if (n <= 0) return false;
      decoder_.feed(std::string_view(buffer, static_cast<std::size_t>(n)));
    }
  }

  void serve() {
    for (const FakeStep& step : script_) {
      if (!step.expected.empty()) {
        std::string got;
        if (!next_packet(got)) return;
        if (got != step.expected) {
          surprises_.push_back("expected " + step.expected + ", got " + got);
          server_.reset();
          return;
        }
      }
      for (std::size_t at = 0; at < step.sent.size();) {
        const ssize_t n =
            ::send(server_.get(), step.sent.data() + at, step.sent.size() - at, MSG_NOSIGNAL);
        if (n <= 0) return;
        at += static_cast<std::size_t>(n);
      }
      if (step.closes) {
        server_.reset();
        return;
      }
    }
    std::string got;
    while (server_ && next_packet(got)) surprises_.push_back("unexpected " + got);
  }

  std::vector<FakeStep> script_;
  FileDescriptor client_;
  FileDescriptor server_;
  PacketDecoder decoder_;
  std::vector<std::string> surprises_;
  std::string acknowledgements_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

/// The exchanges of a transcript that TranscriptLog wrote, as a script.
inline std::vector<FakeStep> script_of(std::string_view transcript) {
  const auto bytes_of = [](std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\\' && i + 3 < text.size() && text[i + 1] == 'x') {
        out += static_cast<char>(std::stoi(std::string(text.substr(i + 2, 2)), nullptr, 16));
        i += 3;
      } else {
        out += text[i];
      }
    }
    return out;
  };
  std::vector<FakeStep> out;
  while (!transcript.empty()) {
    const std::size_t end = transcript.find('\n');
    const std::string_view line = transcript.substr(0, end);
    transcript.remove_prefix(end == std::string_view::npos ? transcript.size() : end + 1);
    if (line.size() < 13 || line.front() == '#') continue;
    const std::string_view direction = line.substr(10, 2);
    const std::string payload = bytes_of(line.substr(13));
    if (direction == "->") out.push_back({payload, "", false});
    if (direction == "<-" && !out.empty()) out.back().sent += packet(payload);
  }
  return out;
}

}  // namespace culprit::replay::gdb
