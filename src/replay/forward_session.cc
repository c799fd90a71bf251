#include "replay/forward_session.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "agent/step_codec.h"
#include "base/signals.h"
#include "replay/heap_answer.h"

namespace culprit::replay {

namespace wire = agent::wire;

namespace {

Error protocol_error(const std::string& what) {
  return Error{ErrorCode::internal, "the replay agent sent " + what};
}

Hit hit_of(const wire::Hit& in) {
  Hit hit;
  hit.probe = in.probe;
  hit.ordinal = in.ordinal;
  hit.raw_ordinal = in.raw_ordinal;
  hit.position = position_of(in.position);
  hit.registers = in.registers;
  hit.value_before = in.value_before;
  hit.value_after = in.value_after;
  hit.before_known = in.before_known;
  hit.live = in.live;
  if (in.kernel) {
    hit.kernel = Hit::Kernel{in.kernel->number, in.kernel->arguments, in.kernel->result,
                             in.kernel->cause == wire::KernelCause::remap};
  }
  return hit;
}

}  // namespace

/// The stopped replay, asked through the session.
class SessionLiveState final : public LiveState {
 public:
  explicit SessionLiveState(ForwardSession& session) : session_(session) {}

  std::size_t read(Address address, std::span<std::byte> out) const override {
    std::size_t done = 0;
    while (done < out.size()) {
      const auto chunk =
          static_cast<std::uint32_t>(std::min<std::size_t>(out.size() - done, wire::kMaxRead));
      const auto reply = session_.ask<wire::Memory>(wire::ReadMemory{address.value + done, chunk});
      if (!reply.ok() || reply->bytes.size() > chunk) break;
      if (!reply->bytes.empty()) {
        std::memcpy(out.data() + done, reply->bytes.data(), reply->bytes.size());
      }
      done += reply->bytes.size();
      if (reply->bytes.size() < chunk) break;
    }
    return done;
  }

  Result<Registers> registers(ThreadId thread) const override {
    CULPRIT_ASSIGN(const auto reply,
                   session_.ask<wire::RegistersReply>(wire::ReadRegisters{thread.value}));
    return reply.registers;
  }

  Result<std::vector<Thread>> threads() const override {
    CULPRIT_ASSIGN(const auto reply, session_.ask<wire::ThreadList>(wire::ListThreads{}));
    std::vector<Thread> result;
    for (const auto& each : reply.threads) {
      result.push_back({ThreadId{each.thread}, ProcessId{each.process}});
    }
    return result;
  }

  Result<HeapBlocks> heap_blocks(Address address) const override {
    CULPRIT_ASSIGN(const auto reply,
                   session_.ask<wire::HeapBlocks>(wire::FindHeapBlocks{address.value}));
    return heap_answer(reply);
  }

  Result<std::string> maps() const override {
    CULPRIT_ASSIGN(auto reply, session_.ask<wire::Text>(wire::ReadMaps{}));
    return std::move(reply.text);
  }

 private:
  ForwardSession& session_;
};

ForwardSession::ForwardSession(FileDescriptor socket, const PassOrders& orders,
                               const PassSpec& pass, PassObserver& observer,
                               Clock::time_point deadline)
    : socket_(std::move(socket)),
      orders_(orders),
      pass_(pass),
      observer_(observer),
      deadline_(deadline) {}

Result<wire::FrameView> ForwardSession::receive() {
  if (channel_error_) return *channel_error_;
  const auto failed = [this](Error error) -> Result<wire::FrameView> {
    channel_error_ = error;
    return error;
  };
  for (;;) {
    wire::FrameView frame;
    switch (wire::next_frame(std::span(buffer_).subspan(used_), frame)) {
      case wire::FrameState::complete:
        used_ += frame.size;
        return frame;
      case wire::FrameState::malformed:
        return failed(protocol_error("what is no message"));
      case wire::FrameState::partial:
        break;
    }
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ = 0;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
    if (left.count() <= 0) {
      return failed(Error{ErrorCode::timeout, "the replay pass did not finish in time"});
    }
    std::array<pollfd, 2> waiting{pollfd{socket_.get(), POLLIN, 0},
                                  pollfd{interrupt_fd(), POLLIN, 0}};
    const int ready = ::poll(waiting.data(), waiting.size(),
                             static_cast<int>(std::min<std::int64_t>(left.count(), 60'000)));
    if (const Status asked = check_interrupt(); !asked.ok()) return failed(asked.error());
    if (ready < 0 && errno != EINTR) {
      return failed(Error{ErrorCode::io, std::string("poll: ") + std::strerror(errno)});
    }
    if (ready <= 0) continue;
    std::uint8_t bytes[64 * 1024];
    const ssize_t got = ::recv(socket_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return failed(Error{ErrorCode::replay_failed, ""});
    buffer_.insert(buffer_.end(), bytes, bytes + got);
  }
}

Status ForwardSession::send_bytes(const std::vector<std::uint8_t>& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data() + done, bytes.size() - done,
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      done += static_cast<std::size_t>(sent);
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) {
      return Error{ErrorCode::replay_failed, ""};
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
    if (left.count() <= 0) {
      return Error{ErrorCode::timeout, "the replay pass did not take its orders in time"};
    }
    pollfd waiting{socket_.get(), POLLOUT, 0};
    ::poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 1000)));
  }
  return {};
}

template <typename M>
Result<M> ForwardSession::receive_as() {
  CULPRIT_ASSIGN(const wire::FrameView frame, receive());
  if (frame.type == wire::Type::failed) {
    const auto failed = wire::parse_payload<wire::Failed>(frame.payload);
    return Error{ErrorCode::replay_failed, failed ? failed->message : "the replay agent failed"};
  }
  if (frame.type != M::type) return protocol_error("an unexpected message");
  auto message = wire::parse_payload<M>(frame.payload);
  if (!message) return protocol_error("a malformed message");
  return std::move(*message);
}

template <typename Reply, typename Request>
Result<Reply> ForwardSession::ask(const Request& request) {
  if (channel_error_) return *channel_error_;
  if (const Status sent = send(request); !sent.ok()) {
    channel_error_ = sent.error();
    return sent.error();
  }
  CULPRIT_ASSIGN(const wire::FrameView frame, receive());
  if (frame.type == wire::Type::refused) {
    const auto refused = wire::parse_payload<wire::Refused>(frame.payload);
    return Error{ErrorCode::not_found, refused ? refused->message : "refused"};
  }
  if (frame.type == Reply::type) {
    if (auto reply = wire::parse_payload<Reply>(frame.payload)) return std::move(*reply);
  }
  channel_error_ = protocol_error("a wrong answer");
  return *channel_error_;
}

Status ForwardSession::send_orders() {
  CULPRIT_ASSIGN(const auto hello, receive_as<wire::Hello>());
  if (hello.version != wire::kVersion) {
    return Error{ErrorCode::replay_failed, "the agent library is of another version (" +
                                               hello.build +
                                               "): install it together with this program"};
  }
  CULPRIT_TRY(send(orders_.spec));
  const auto send_table = [this](const auto& entries, auto message) -> Status {
    for (std::size_t at = 0; at < entries.size(); at += wire::kTableChunk) {
      const std::size_t count = std::min(wire::kTableChunk, entries.size() - at);
      const auto from = entries.begin() + static_cast<std::ptrdiff_t>(at);
      message.entries.assign(from, from + static_cast<std::ptrdiff_t>(count));
      CULPRIT_TRY(send(message));
    }
    return {};
  };
  CULPRIT_TRY(send_table(orders_.clones, wire::Clones{}));
  CULPRIT_TRY(send_table(orders_.kernel_writes, wire::KernelWrites{}));
  return send(wire::Start{});
}

Status ForwardSession::finish_early() {
  stopping_ = true;
  const Status sent = send(wire::Finish{});
  // At a hit that is not live the replay has run on, and may be through: its agent has then said
  // Done and gone, and nobody takes this. What it said is still to be read; if it said nothing,
  // receive() finds out.
  if (!sent.ok() && sent.error().code == ErrorCode::replay_failed) return {};
  return sent;
}

Status ForwardSession::on_hit(const wire::Hit& message) {
  if (message.probe >= pass_.probes.size()) return protocol_error("a hit of no probe");
  if (stopping_) return {};
  const Hit hit = hit_of(message);
  if (!hit.live) {
    return observer_.on_hit(hit, nullptr) == Next::stop_pass ? finish_early() : Status{};
  }
  const SessionLiveState live(*this);
  const Next next = observer_.on_hit(hit, &live);
  if (channel_error_) return *channel_error_;
  return next == Next::stop_pass ? finish_early() : send(wire::GoOn{});
}

Status ForwardSession::on_end(const wire::EndReached& end) {
  if (stopping_) return {};
  if (window_) {
    trim_window();
    observer_.on_window(*window_);
  }
  const SessionLiveState live(*this);
  observer_.on_end(position_of(end.position), end.registers, live);
  if (channel_error_) return *channel_error_;
  // The agent sends its results after either; GoOn keeps later hits coming to the observer.
  return send(wire::GoOn{});
}

Status ForwardSession::on_steps(const wire::StepChunk& chunk) {
  if (!window_) return protocol_error("steps of no window");
  std::span<const std::uint8_t> bytes(chunk.bytes);
  Registers registers;
  for (std::uint32_t i = 0; i < chunk.count; ++i) {
    if (!agent::decode_step(bytes, registers)) return protocol_error("a malformed step");
    window_->steps.push_back(registers);
  }
  if (!bytes.empty()) return protocol_error("a malformed step");
  return {};
}

void ForwardSession::trim_window() {
  // The agent keeps whole chunks: a few steps more than asked for.
  const std::size_t most = pass_.step ? pass_.step->max_steps : pass_.activation->budget;
  auto& steps = window_->steps;
  if (steps.size() > most) {
    steps.erase(steps.begin(), steps.end() - static_cast<std::ptrdiff_t>(most));
  }
  window_->truncated = window_total_ > steps.size();
}

Result<PassResult> ForwardSession::run() {
  CULPRIT_TRY(send_orders());
  for (;;) {
    CULPRIT_ASSIGN(const wire::FrameView frame, receive());
    const auto malformed = [] { return protocol_error("a malformed message"); };
    switch (frame.type) {
      case wire::Type::task_started: {
        const auto task = wire::parse_payload<wire::TaskStarted>(frame.payload);
        if (!task) return malformed();
        tasks_.push_back(task->real_tid);
        break;
      }
      case wire::Type::hit: {
        const auto hit = wire::parse_payload<wire::Hit>(frame.payload);
        if (!hit) return malformed();
        CULPRIT_TRY(on_hit(*hit));
        break;
      }
      case wire::Type::map_event: {
        const auto event = wire::parse_payload<wire::MapEvent>(frame.payload);
        if (!event) return malformed();
        if (!stopping_) {
          observer_.on_map_event(
              {position_of(event->position), event->syscall, event->arguments, event->result});
        }
        break;
      }
      case wire::Type::end_reached: {
        const auto end = wire::parse_payload<wire::EndReached>(frame.payload);
        if (!end) return malformed();
        CULPRIT_TRY(on_end(*end));
        break;
      }
      case wire::Type::step_info: {
        const auto info = wire::parse_payload<wire::StepInfo>(frame.payload);
        if (!info || window_ || (!pass_.step && !pass_.activation)) return malformed();
        window_.emplace();
        window_->thread = ThreadId{info->thread};
        window_->final_registers = info->final_registers;
        window_total_ = info->total;
        break;
      }
      case wire::Type::step_chunk: {
        const auto chunk = wire::parse_payload<wire::StepChunk>(frame.payload);
        if (!chunk) return malformed();
        CULPRIT_TRY(on_steps(*chunk));
        break;
      }
      case wire::Type::failed: {
        const auto failed = wire::parse_payload<wire::Failed>(frame.payload);
        if (!failed) return malformed();
        switch (failed->reason) {
          case wire::Failed::Reason::usage:
            return Error{ErrorCode::usage, failed->message};
          case wire::Failed::Reason::too_many_hits:
            return Error{ErrorCode::bad_input, failed->message};
          case wire::Failed::Reason::divergence:
            return Error{ErrorCode::replay_failed, failed->message};
          case wire::Failed::Reason::internal:
            return Error{ErrorCode::internal, failed->message};
        }
        return malformed();
      }
      case wire::Type::done: {
        const auto done = wire::parse_payload<wire::Done>(frame.payload);
        if (!done || done->counters.size() < pass_.probes.size()) return malformed();
        PassResult result;
        result.end_reached = done->end_reached || stopping_;
        for (std::size_t i = 0; i < pass_.probes.size(); ++i) {
          result.matches.push_back(done->counters[i].matches);
          result.raw_hits.push_back(done->counters[i].raw);
        }
        thread_counts_ = done->threads;
        if (window_) {
          trim_window();
          result.window = std::move(window_);
        }
        return result;
      }
      default:
        return protocol_error("an unknown message");
    }
  }
}

}  // namespace culprit::replay
