#include "replay/gdb_server/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/signals.h"

namespace culprit::replay::gdb {
namespace {

using std::chrono::milliseconds;

/// A packet is sent again so many times before the line is given up.
constexpr int most_repeats = 3;
constexpr std::size_t most_logged = 2048;

Error system_error(const char* what) {
  return Error{ErrorCode::io, std::string(what) + ": " + std::strerror(errno)};
}

}  // namespace

Result<std::shared_ptr<TranscriptLog>> TranscriptLog::open(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return system_error(("cannot write " + path).c_str());
  return std::shared_ptr<TranscriptLog>(new TranscriptLog(std::move(file)));
}

void TranscriptLog::write(std::string_view direction, std::string_view payload) {
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - opened_).count();
  char number[32];
  std::snprintf(number, sizeof number, "%9.3f ", seconds);
  std::string line = number;
  line += direction;
  line += ' ';
  for (const char c : payload.substr(0, most_logged)) {
    if (c >= ' ' && c <= '~' && c != '\\') {
      line += c;
      continue;
    }
    std::snprintf(number, sizeof number, "\\x%02x", static_cast<unsigned char>(c));
    line += number;
  }
  if (payload.size() > most_logged) line += "... " + std::to_string(payload.size()) + " bytes";
  line += '\n';
  // A full disk must not end a triage.
  for (std::size_t at = 0; at < line.size();) {
    const ssize_t n = ::write(file_.get(), line.data() + at, line.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    at += static_cast<std::size_t>(n);
  }
}

Connection::Connection(FileDescriptor socket, std::shared_ptr<TranscriptLog> log)
    : socket_(std::move(socket)), log_(std::move(log)) {
  const int flags = ::fcntl(socket_.get(), F_GETFL);
  if (flags >= 0) ::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK);
}

Error Connection::close_with(Error error) {
  socket_.reset();
  last_error_ = error;
  if (log_) log_->write("!!", error.message);
  return error;
}

Status Connection::wait_for(short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return Error{ErrorCode::timeout, "the gdb server does not answer"};
    std::array<pollfd, 2> wanted{pollfd{socket_.get(), events, 0},
                                 pollfd{interrupt_fd(), POLLIN, 0}};
    const int ready = ::poll(wanted.data(), wanted.size(),
                             static_cast<int>(std::min<std::int64_t>(left.count(), 60'000)));
    CULPRIT_TRY(check_interrupt());
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return system_error("cannot wait for the gdb server");
  }
}

Status Connection::send(std::string_view bytes, Clock::time_point deadline) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      CULPRIT_TRY(wait_for(POLLOUT, deadline));
    } else if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
      return Error{ErrorCode::replay_failed, "the gdb server has closed the connection"};
    } else if (n == 0 || errno != EINTR) {
      return system_error("cannot write to the gdb server");
    }
  }
  return {};
}

Result<Token> Connection::receive(Clock::time_point deadline) {
  for (;;) {
    CULPRIT_ASSIGN(std::optional<Token> token, decoder_.next());
    if (token) return std::move(*token);
    CULPRIT_TRY(wait_for(POLLIN, deadline));
    char buffer[65536];
    const ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (n > 0) {
      decoder_.feed(std::string_view(buffer, static_cast<std::size_t>(n)));
    } else if (n == 0 || errno == ECONNRESET) {
      return Error{ErrorCode::replay_failed, "the gdb server has closed the connection"};
    } else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
      return system_error("cannot read from the gdb server");
    }
  }
}

Status Connection::drain() {
  char buffer[4096];
  const ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (n > 0) decoder_.feed(std::string_view(buffer, static_cast<std::size_t>(n)));
  if (n == 0) {
    return close_with({ErrorCode::replay_failed, "the gdb server has closed the connection"});
  }
  for (;;) {
    auto token = decoder_.next();
    if (!token.ok()) return close_with(token.error());
    if (!*token) return {};
    if ((*token)->kind == Token::Kind::packet || (*token)->kind == Token::Kind::damaged) {
      return close_with({ErrorCode::bad_input, "the gdb server sends what it was not asked for"});
    }
  }
}

Result<std::string> Connection::exchange(std::string_view payload, milliseconds deadline) {
  if (!socket_) return last_error_;
  if (payload.size() > limit_) {
    return Error{ErrorCode::usage, "a packet of " + std::to_string(payload.size()) +
                                       " bytes is more than the gdb server takes"};
  }
  const auto end = Clock::now() + deadline;
  if (Status asked = check_interrupt(); !asked.ok()) return close_with(asked.error());
  // What has come already would be taken for the answer.
  CULPRIT_TRY(drain());
  const std::string framed = frame(payload);
  if (log_) log_->write("->", payload);
  if (Status sent = send(framed, end); !sent.ok()) return close_with(sent.error());
  int repeats = 0;
  for (;;) {
    auto token = receive(end);
    if (!token.ok()) return close_with(token.error());
    switch (token->kind) {
      case Token::Kind::acknowledged:
      case Token::Kind::notification:
        continue;
      case Token::Kind::refused:
      case Token::Kind::damaged: {
        if (!acknowledges_ || ++repeats > most_repeats) {
          return close_with({ErrorCode::bad_input, "the gdb server sends damaged packets"});
        }
        const bool ask_again = token->kind == Token::Kind::damaged;
        if (Status sent = send(ask_again ? "-" : std::string_view(framed), end); !sent.ok()) {
          return close_with(sent.error());
        }
        continue;
      }
      case Token::Kind::packet:
        if (acknowledges_) {
          if (Status sent = send("+", end); !sent.ok()) return close_with(sent.error());
        }
        if (log_) log_->write("<-", token->payload);
        return std::move(token->payload);
    }
  }
}

}  // namespace culprit::replay::gdb
