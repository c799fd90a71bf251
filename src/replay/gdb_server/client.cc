#include "replay/gdb_server/client.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "replay/gdb_server/hex.h"

namespace culprit::replay::gdb {
namespace {

using std::chrono::milliseconds;

/// Of everything that does not run the program; generous, since a machine may be busy.
constexpr milliseconds most_for_an_answer{30'000};

/// Bytes of memory asked for at once. rr takes packets of 1 MiB, two digits a byte.
constexpr std::size_t most_read = 64 << 10;
/// gdb's number of SIGTRAP.
constexpr int trap_signal = 5;
constexpr std::size_t most_threads = 100'000;

constexpr char features[] =
    "qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+;no-resumed+";

/// Where rr's `g` packet has its registers (GdbServerExtraRegisters, 64bit-core.xml and
/// 64bit-linux.xml of gdb): 16 general ones and rip, 8 bytes each; eflags and six segments, 4 each;
/// 8 x87 registers of 10; 8 of its control registers of 4; 16 of SSE of 16; mxcsr, 4; then these.
constexpr std::size_t rflags_offset = 17 * 8;
constexpr std::size_t orig_rax_offset = rflags_offset + 7 * 4 + 8 * 10 + 8 * 4 + 16 * 16 + 4;
constexpr std::size_t fs_base_offset = orig_rax_offset + 8;
constexpr std::size_t gs_base_offset = fs_base_offset + 8;

/// gdb's order of the general registers in Gpr's.
constexpr std::array<Gpr, 16> gdb_order{Gpr::rax, Gpr::rbx, Gpr::rcx, Gpr::rdx, Gpr::rsi, Gpr::rdi,
                                        Gpr::rbp, Gpr::rsp, Gpr::r8,  Gpr::r9,  Gpr::r10, Gpr::r11,
                                        Gpr::r12, Gpr::r13, Gpr::r14, Gpr::r15};

Error odd(std::string_view what, std::string_view answer) {
  return Error{ErrorCode::bad_input, "the gdb server's answer to " + std::string(what) +
                                         " cannot be understood: \"" +
                                         std::string(answer.substr(0, 80)) + "\""};
}

bool is_breakpoint(const StopPoint& point) {
  return point.kind == StopPointKind::software_breakpoint ||
         point.kind == StopPointKind::hardware_breakpoint;
}

bool is_error(std::string_view answer) { return answer.size() == 3 && answer.front() == 'E'; }

/// `bytes` hexadecimal digits pairs at `offset`, little endian; nothing where the server has only
/// "xx".
std::optional<std::uint64_t> field(std::string_view digits, std::size_t offset, std::size_t bytes) {
  if (digits.size() < 2 * (offset + bytes)) return std::nullopt;
  const auto raw = parse_hex_bytes(digits.substr(2 * offset, 2 * bytes));
  if (!raw) return std::nullopt;
  std::uint64_t out = 0;
  std::memcpy(&out, raw->data(), bytes);
  return out;
}

template <typename T>
bool take_number(std::string_view& text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

}  // namespace

Result<RrVersion> parse_rr_version(std::string_view text) {
  const auto bad = [&] {
    return Error{ErrorCode::bad_input,
                 "this is no version of rr: \"" + std::string(text.substr(0, 80)) + "\""};
  };
  constexpr std::string_view prefix = "rr version ";
  const std::size_t start = text.find(prefix);
  if (start == std::string_view::npos) return bad();
  std::string_view rest = text.substr(start + prefix.size());
  RrVersion out;
  if (!take_number(rest, out.major) || !rest.starts_with('.')) return bad();
  rest.remove_prefix(1);
  if (!take_number(rest, out.minor) || out.major < 0 || out.minor < 0) return bad();
  return out;
}

std::string equals_condition(Address address, std::uint64_t value) {
  // GDB manual, appendix "The GDB Agent Expression Mechanism": const64, ref64, equal, end.
  // Constants are big endian.
  std::string out;
  const auto push = [&](std::uint64_t constant) {
    out += '\x25';
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(constant >> shift & 0xff);
  };
  push(address.value);
  out += '\x1a';
  push(value);
  out += '\x13';
  out += '\x27';
  return out;
}

Result<std::unique_ptr<Client>> Client::open(std::unique_ptr<Connection> connection,
                                             RrVersion version) {
  std::unique_ptr<Client> out(new Client(std::move(connection), version));
  CULPRIT_TRY(out->agree());
  return out;
}

Status Client::agree() {
  CULPRIT_ASSIGN(const std::string no_ack, ask("QStartNoAckMode"));
  if (no_ack != "OK") return odd("QStartNoAckMode", no_ack);
  connection_->stop_acknowledging();
  CULPRIT_ASSIGN(const std::string supported, ask(features));
  std::string_view rest = supported;
  bool reverse = false;
  while (!rest.empty()) {
    const std::size_t end = rest.find(';');
    const std::string_view feature = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (feature == "ReverseContinue+") reverse = true;
    constexpr std::string_view size = "PacketSize=";
    if (feature.starts_with(size)) {
      // GDB reads it as hexadecimal; rr prints it in decimal, which is smaller then.
      std::string_view digits = feature.substr(size.size());
      std::size_t limit = 0;
      if (take_number(digits, limit)) {
        connection_->set_limit(std::clamp<std::size_t>(limit, 256, 1 << 20));
      }
    }
  }
  if (!reverse) {
    return Error{ErrorCode::bad_input, "the gdb server cannot run backwards, so it is not rr's"};
  }
  CULPRIT_ASSIGN(const std::string actions, ask("vCont?"));
  if (!actions.starts_with("vCont")) return odd("vCont?", actions);
  return learn_thread();
}

Status Client::learn_thread() {
  CULPRIT_ASSIGN(const std::string answer, ask("qC"));
  const auto thread =
      answer.starts_with("QC") ? parse_thread(std::string_view(answer).substr(2)) : std::nullopt;
  if (!thread) return odd("qC", answer);
  return select(*thread);
}

milliseconds Client::answer_deadline() const {
  const auto now = std::chrono::steady_clock::now();
  if (answers_end_ - now > most_for_an_answer) return most_for_an_answer;
  return std::max(milliseconds(1), std::chrono::duration_cast<milliseconds>(answers_end_ - now));
}

Result<std::string> Client::ask(std::string_view packet) {
  if (ended_) {
    return Error{ErrorCode::usage, "the replay has ended; only a restart is possible"};
  }
  return connection_->exchange(packet, answer_deadline());
}

Status Client::select(const ThreadName& thread) {
  const std::string name = print_thread(thread);
  CULPRIT_ASSIGN(const std::string answer, ask("Hg" + name));
  if (is_error(answer)) return Error{ErrorCode::not_found, "there is no thread " + name + " now"};
  if (answer != "OK") return odd("Hg", answer);
  thread_ = thread;
  return {};
}

Result<std::vector<ThreadName>> Client::threads() {
  std::vector<ThreadName> out;
  CULPRIT_ASSIGN(std::string answer, ask("qfThreadInfo"));
  while (answer.starts_with('m')) {
    std::string_view list = std::string_view(answer).substr(1);
    while (!list.empty()) {
      const std::size_t comma = list.find(',');
      const auto thread = parse_thread(list.substr(0, comma));
      if (!thread || out.size() == most_threads) return odd("qfThreadInfo", answer);
      out.push_back(*thread);
      list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    }
    CULPRIT_ASSIGN(answer, ask("qsThreadInfo"));
  }
  if (answer != "l") return odd("qsThreadInfo", answer);
  return out;
}

Result<Registers> Client::registers() {
  CULPRIT_ASSIGN(const std::string answer, ask("g"));
  Registers out;
  for (std::size_t i = 0; i < gdb_order.size(); ++i) {
    const auto value = field(answer, 8 * i, 8);
    if (!value) return odd("g", answer);
    out[gdb_order[i]] = *value;
  }
  const auto rip = field(answer, 16 * 8, 8);
  const auto rflags = field(answer, rflags_offset, 4);
  if (!rip || !rflags) return odd("g", answer);
  out.rip = *rip;
  out.rflags = *rflags;
  out.orig_rax = field(answer, orig_rax_offset, 8).value_or(~std::uint64_t{0});
  out.fs_base = field(answer, fs_base_offset, 8).value_or(0);
  out.gs_base = field(answer, gs_base_offset, 8).value_or(0);
  return out;
}

Result<std::size_t> Client::read(Address address, std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::size_t size = std::min(most_read, out.size() - done);
    const std::uint64_t at = address.value + done;
    CULPRIT_ASSIGN(const std::string answer,
                   ask("m" + print_hex(at) + "," + print_hex<std::uint64_t>(size)));
    if (is_error(answer)) break;
    const auto bytes = parse_hex_bytes(answer);
    if (!bytes || bytes->size() > size) return odd("m", answer);
    std::memcpy(out.data() + done, bytes->data(), bytes->size());
    done += bytes->size();
    if (bytes->size() < size) break;
  }
  return done;
}

Status Client::set(const StopPoint& point, std::string_view condition) {
  std::string packet = "Z" + std::to_string(static_cast<int>(point.kind)) + "," +
                       print_hex(point.address.value) + "," + print_hex(point.size);
  if (!condition.empty()) {
    packet += ";X" + print_hex<std::uint64_t>(condition.size()) + "," + print_hex_bytes(condition);
  }
  CULPRIT_ASSIGN(const std::string answer, ask(packet));
  if (is_error(answer)) {
    return Error{ErrorCode::usage, "the gdb server has no debug register left, or cannot watch " +
                                       to_hex(point.address)};
  }
  if (answer != "OK") return odd("Z", answer);
  points_[point] = std::string(condition);
  return {};
}

Status Client::remove(const StopPoint& point) {
  if (points_.erase(point) == 0) return {};
  CULPRIT_ASSIGN(const std::string answer,
                 ask("z" + std::to_string(static_cast<int>(point.kind)) + "," +
                     print_hex(point.address.value) + "," + print_hex(point.size)));
  if (answer != "OK") return odd("z", answer);
  return {};
}

Status Client::remove_all() {
  while (!points_.empty()) {
    const StopPoint point = points_.begin()->first;
    CULPRIT_TRY(remove(point));
  }
  return {};
}

Result<StopReply> Client::run(std::string_view packet, milliseconds deadline) {
  if (ended_) {
    return Error{ErrorCode::usage, "the replay has ended; only a restart is possible"};
  }
  CULPRIT_ASSIGN(const std::string answer, connection_->exchange(packet, deadline));
  CULPRIT_ASSIGN(const StopReply stop, parse_stop_reply(answer));
  ended_ = stop.kind != StopReply::Kind::signal;
  if (stop.thread) CULPRIT_TRY(select(*stop.thread));
  return stop;
}

Result<StopReply> Client::run_on(std::string_view packet, milliseconds deadline) {
  CULPRIT_ASSIGN(StopReply stop, run(packet, deadline));
  if (!std::exchange(fresh_, false) || stop.kind != StopReply::Kind::signal || stop.signal != 0) {
    return stop;
  }
  return run(packet, deadline);
}

Result<std::map<StopPoint, std::string>> Client::breakpoints_here() {
  std::map<StopPoint, std::string> out;
  const bool any = std::any_of(points_.begin(), points_.end(),
                               [](const auto& entry) { return is_breakpoint(entry.first); });
  if (!any) return out;
  CULPRIT_ASSIGN(const Registers now, registers());
  for (const auto& entry : points_) {
    if (is_breakpoint(entry.first) && entry.first.address == now.pc()) {
      out.insert(entry);
    }
  }
  return out;
}

Result<StopReply> Client::resume(Direction direction, milliseconds deadline) {
  if (direction == Direction::forward) {
    // rr would stop at once.
    CULPRIT_ASSIGN(const auto here, breakpoints_here());
    if (!here.empty()) {
      for (const auto& [point, condition] : here) CULPRIT_TRY(remove(point));
      CULPRIT_ASSIGN(const StopReply stepped, step(direction, deadline));
      if (stepped.kind != StopReply::Kind::signal) return stepped;
      for (const auto& [point, condition] : here) CULPRIT_TRY(set(point, condition));
      CULPRIT_ASSIGN(const auto next, breakpoints_here());
      if (stepped.watch || stepped.signal != trap_signal || !next.empty()) return stepped;
    }
    return run_on("vCont;c", deadline);
  }
  CULPRIT_ASSIGN(const std::string all, ask("Hcp-1.-1"));
  if (all != "OK") return odd("Hc", all);
  return run_on("bc", deadline);
}

Result<StopReply> Client::step(Direction direction, milliseconds deadline) {
  const std::string name = print_thread(thread_);
  if (direction == Direction::forward) return run_on("vCont;s:" + name, deadline);
  CULPRIT_ASSIGN(const std::string one, ask("Hc" + name));
  if (one != "OK") return odd("Hc", one);
  return run_on("bs", deadline);
}

Status Client::run_to(std::string_view target, milliseconds deadline) {
  points_.clear();
  ended_ = false;
  fresh_ = true;
  CULPRIT_ASSIGN(const StopReply stop, run("vRun;;" + print_hex_bytes(target), deadline));
  if (stop.kind != StopReply::Kind::signal) {
    return Error{ErrorCode::not_found, "the trace ends before " + std::string(target)};
  }
  if (!stop.thread) return learn_thread();
  return {};
}

Status Client::restart(EventNumber event, milliseconds deadline) {
  return run_to(std::to_string(event.value), deadline);
}

Status Client::restart_at_checkpoint(std::uint32_t checkpoint, milliseconds deadline) {
  return run_to("c" + std::to_string(checkpoint), deadline);
}

Result<std::string> Client::command(std::string_view name, std::string_view argument,
                                    milliseconds deadline) {
  if (ended_) {
    return Error{ErrorCode::usage, "the replay has ended; only a restart is possible"};
  }
  std::string packet = "qRRCmd:";
  if (version_.commands_name_threads()) {
    packet += std::string(name) + ":" + std::to_string(thread_.thread.value);  // decimal
    if (!argument.empty()) packet += ":" + print_hex_bytes(argument);
  } else {
    packet += print_hex_bytes(name);
    if (!argument.empty()) packet += ":" + print_hex_bytes(argument);
  }
  CULPRIT_ASSIGN(const std::string answer, connection_->exchange(packet, deadline));
  const auto text = parse_hex_bytes(answer);
  if (!text) return odd(name, answer);
  return *text;
}

Result<std::uint64_t> Client::number_from_command(std::string_view name) {
  CULPRIT_ASSIGN(const std::string text, command(name, "", answer_deadline()));
  // "Current event: 42\n", "Completed event: 41", "Current tick: 9408".
  const std::size_t colon = text.find(": ");
  std::string_view digits =
      colon == std::string::npos ? std::string_view() : std::string_view(text).substr(colon + 2);
  std::uint64_t out = 0;
  if (!take_number(digits, out)) return odd(name, text);
  return out;
}

Result<EventNumber> Client::event() {
  CULPRIT_ASSIGN(const std::uint64_t number, number_from_command("when"));
  const auto event = static_cast<std::int64_t>(std::min<std::uint64_t>(number, 1ULL << 62));
  return EventNumber{version_.when_is_completed_event() ? event + 1 : event};
}

Result<std::uint64_t> Client::ticks() { return number_from_command("when-ticks"); }

Result<std::uint32_t> Client::make_checkpoint(milliseconds deadline) {
  CULPRIT_ASSIGN(const std::string text, command("checkpoint", "here", deadline));
  // "Checkpoint 1 at here". rr 5.6 ends where the argument, a text for people, is missing.
  constexpr std::string_view prefix = "Checkpoint ";
  const std::size_t start = text.find(prefix);
  std::string_view digits = start == std::string::npos
                                ? std::string_view()
                                : std::string_view(text).substr(start + prefix.size());
  std::uint32_t out = 0;
  if (!take_number(digits, out)) return odd("checkpoint", text);
  return out;
}

Status Client::delete_checkpoint(std::uint32_t checkpoint) {
  CULPRIT_ASSIGN(const std::string text,
                 command("delete checkpoint", std::to_string(checkpoint), answer_deadline()));
  (void)text;
  return {};
}

}  // namespace culprit::replay::gdb
