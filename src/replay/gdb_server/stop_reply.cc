#include "replay/gdb_server/stop_reply.h"

#include <string>

#include "replay/gdb_server/hex.h"

namespace culprit::replay::gdb {
namespace {

Error malformed(std::string_view payload) {
  return Error{ErrorCode::bad_input, "the gdb server's answer is no stop reply: \"" +
                                         std::string(payload.substr(0, 80)) + "\""};
}

std::optional<std::int32_t> parse_id(std::string_view text) {
  const auto id = parse_hex<std::uint32_t>(text);
  if (!id || *id == 0 || *id > 0x7fffffff) return std::nullopt;
  return static_cast<std::int32_t>(*id);
}

}  // namespace

std::optional<ThreadName> parse_thread(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (!text.starts_with('p') || dot == std::string_view::npos) return std::nullopt;
  const auto process = parse_id(text.substr(1, dot - 1));
  const auto thread = parse_id(text.substr(dot + 1));
  if (!process || !thread) return std::nullopt;
  return ThreadName{ProcessId{*process}, ThreadId{*thread}};
}

std::string print_thread(const ThreadName& thread) {
  return "p" + print_hex(static_cast<std::uint32_t>(thread.process.value)) + "." +
         print_hex(static_cast<std::uint32_t>(thread.thread.value));
}

Result<StopReply> parse_stop_reply(std::string_view payload) {
  if (payload.size() < 3) return malformed(payload);
  const char kind = payload.front();
  const auto number = parse_hex<unsigned char>(payload.substr(1, 2));
  if (!number) return malformed(payload);
  StopReply out;
  std::string_view rest = payload.substr(3);
  switch (kind) {
    case 'W':
      out.kind = StopReply::Kind::exited;
      out.code = *number;
      return out;
    case 'X':
      out.kind = StopReply::Kind::killed;
      out.signal = *number;
      return out;
    case 'S':
    case 'T':
      out.signal = *number;
      break;
    default:
      return malformed(payload);
  }
  if (kind == 'S' && !rest.empty()) return malformed(payload);
  while (!rest.empty()) {
    const std::size_t end = rest.find(';');
    const std::string_view field = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    const std::size_t colon = field.find(':');
    if (colon == std::string_view::npos) return malformed(payload);
    const std::string_view key = field.substr(0, colon);
    const std::string_view value = field.substr(colon + 1);
    if (key == "thread") {
      out.thread = parse_thread(value);
      if (!out.thread) return malformed(payload);
    } else if (key == "watch" || key == "rwatch" || key == "awatch") {
      const auto address = parse_hex<std::uint64_t>(value);
      if (!address) return malformed(payload);
      out.watch = Address{*address};
    } else if (key == "swbreak" || key == "hwbreak") {
      out.breakpoint = true;
    } else if (key == "replaylog") {
      if (value == "begin") out.history = StopReply::End::begin;
      if (value == "end") out.history = StopReply::End::end;
    }
  }
  return out;
}

}  // namespace culprit::replay::gdb
