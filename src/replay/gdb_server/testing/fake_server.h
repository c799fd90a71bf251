// A gdb server that follows a script, for tests: what it expects, and which bytes it sends, however
// wrong.
#pragma once

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "replay/gdb_server/packet.h"
#include "replay/gdb_server/testing/packet_stream.h"

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
    client_ = stream_.open();
    if (!client_) return;
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeServer() {
    client_.reset();
    stream_.stop();
    if (thread_.joinable()) thread_.join();
  }

  FileDescriptor take_client() { return std::move(client_); }
  /// Packets that were not the expected ones, and acknowledgements ("+", "-") in order; after the
  /// end.
  std::vector<std::string> finish() {
    stream_.stop();
    if (thread_.joinable()) thread_.join();
    return surprises_;
  }
  std::string acknowledgements() const { return stream_.acknowledgements(); }

 private:
  void serve() {
    for (const FakeStep& step : script_) {
      if (!step.expected.empty()) {
        std::string got;
        if (!stream_.next(got)) return;
        if (got != step.expected) {
          surprises_.push_back("expected " + step.expected + ", got " + got);
          stream_.close();
          return;
        }
      }
      if (!stream_.send(step.sent)) return;
      if (step.closes) {
        stream_.close();
        return;
      }
    }
    std::string got;
    while (stream_.is_open() && stream_.next(got)) surprises_.push_back("unexpected " + got);
  }

  std::vector<FakeStep> script_;
  FileDescriptor client_;
  PacketStream stream_{20};
  std::vector<std::string> surprises_;
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
