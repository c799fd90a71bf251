#include "cli/replay_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "agent/launch.h"
#include "base/file.h"
#include "base/file_descriptor.h"
#include "recorder/trace_info.h"

namespace culprit::cli {
namespace fs = std::filesystem;
namespace {

/// A port of 127.0.0.1 that nobody listens on now. Another process may take it before rr does; then
/// rr says so and ends.
Result<std::uint16_t> free_port() {
  const FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (!socket || ::bind(socket.get(), generic, size) != 0 ||
      ::getsockname(socket.get(), generic, &size) != 0) {
    return Error{ErrorCode::io, std::string("no free port: ") + std::strerror(errno)};
  }
  return ntohs(address.sin_port);
}

/// The inode numbers of a process' sockets.
std::set<std::string> sockets_of(pid_t pid) {
  std::set<std::string> out;
  std::error_code code;
  const fs::path folder = "/proc/" + std::to_string(pid) + "/fd";
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    std::error_code unread;
    const std::string target = fs::read_symlink(it->path(), unread).string();
    constexpr std::string_view prefix = "socket:[";
    if (!unread && target.starts_with(prefix) && target.ends_with("]")) {
      out.insert(target.substr(prefix.size(), target.size() - prefix.size() - 1));
    }
  }
  return out;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out;
  while (!line.empty()) {
    const std::size_t begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) break;
    const std::size_t end = line.find(' ', begin);
    out.push_back(line.substr(begin, end - begin));
    if (end == std::string_view::npos) break;
    line.remove_prefix(end);
  }
  return out;
}

/// Does a socket of this process listen on the port? /proc/net/tcp (proc(5)): local address as
/// hexadecimal ADDRESS:PORT in field 1, the state in field 3 (0A: LISTEN), the inode in field 9.
bool listens(pid_t pid, std::uint16_t port) {
  const auto table = read_file("/proc/" + std::to_string(pid) + "/net/tcp", std::size_t{64} << 20);
  if (!table.ok()) return false;
  std::set<std::string> sockets;
  std::string_view rest = *table;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::vector<std::string_view> words = words_of(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (words.size() < 10 || words[3] != "0A") continue;
    const std::size_t colon = words[1].find(':');
    unsigned number = 0;
    if (colon == std::string_view::npos ||
        std::from_chars(words[1].data() + colon + 1, words[1].data() + words[1].size(), number, 16)
                .ec != std::errc() ||
        number != port) {
      continue;
    }
    if (sockets.empty()) sockets = sockets_of(pid);
    if (sockets.contains(std::string(words[9]))) return true;
  }
  return false;
}

ProcessOptions rr_replay(const ReplayServerOptions& options, std::uint16_t port) {
  ProcessOptions out;
  out.argv = {options.rr.string(), "replay", "-s", std::to_string(port)};
  if (options.process.value > 0) {
    out.argv.insert(out.argv.end(), {"-f", std::to_string(options.process.value)});
  }
  if (options.event) {
    out.argv.insert(out.argv.end(), {"-g", std::to_string(options.event.value)});
  }
  out.argv.push_back(options.trace.string());
  // What the recorded program printed has been seen; the terminal is the debugger's now.
  out.out.limit = 0;
  out.err.limit = std::size_t{64} << 10;
  agent::AgentConfig config;
  if (!options.software_ticks) config.ticks = agent::AgentConfig::Ticks::hardware;
  agent::preload_agent(out, options.agent, config);
  return out;
}

}  // namespace

Result<ReplayServer> ReplayServer::start(const ReplayServerOptions& options) {
  constexpr int kPorts = 3;
  constexpr std::chrono::milliseconds kLook{10};
  std::string why;
  for (int attempt = 0; attempt < kPorts; ++attempt) {
    CULPRIT_ASSIGN(const std::uint16_t port, free_port());
    CULPRIT_ASSIGN(Process process, Process::start(rr_replay(options, port)));
    for (;;) {
      CULPRIT_ASSIGN(const std::optional<ExitStatus> ended, process.wait(kLook));
      if (ended) {
        const std::string text = process.captured_err().text;
        why = recorder::explain_rr_failure(text);
        if (why.empty())
          why = "rr ended with " + ended->describe() + " before the event was reached";
        if (text.find("Address already in use") == std::string::npos) attempt = kPorts;
        break;
      }
      if (listens(process.pid(), port)) return ReplayServer(std::move(process), port);
    }
  }
  return Error{ErrorCode::replay_failed, "the trace does not replay: " + why};
}

}  // namespace culprit::cli
