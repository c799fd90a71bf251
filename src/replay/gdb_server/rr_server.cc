#include "replay/gdb_server/rr_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

#include "base/file.h"
#include "replay/rr_process.h"

namespace culprit::replay::gdb {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// Another program may take a free port before rr does.
constexpr int most_attempts = 4;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  out.sin_port = htons(port);
  return out;
}

Error system_error(const char* what) {
  return Error{ErrorCode::io, std::string(what) + ": " + std::strerror(errno)};
}

/// A port of 127.0.0.1 that nobody listens on.
Result<std::uint16_t> free_port() {
  const FileDescriptor probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (!probe || ::bind(probe.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return system_error("no free port for rr's gdb server");
  }
  return ntohs(address.sin_port);
}

Result<FileDescriptor> connect_to(std::uint16_t port) {
  FileDescriptor out(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  if (!out ||
      ::connect(out.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return system_error("cannot connect to rr's gdb server");
  }
  const int on = 1;
  ::setsockopt(out.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return out;
}

/// The tasks that `tracer` traces.
std::vector<pid_t> tracees_of(pid_t tracer) {
  std::vector<pid_t> out;
  std::error_code code;
  const std::string wanted = "\nTracerPid:\t" + std::to_string(tracer) + "\n";
  for (const auto& entry : std::filesystem::directory_iterator("/proc", code)) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    const auto status = read_file(entry.path() / "status", 8192);
    if (status.ok() && status->find(wanted) != std::string::npos) out.push_back(pid);
  }
  return out;
}

/// False for a process that does not exist, or that is dead and only waits to be reaped.
bool is_alive(pid_t pid) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!text.ok()) return false;
  const std::size_t bracket = text->rfind(") ");  // the name may hold brackets (proc(5))
  return bracket == std::string::npos || bracket + 2 >= text->size() ||
         ((*text)[bracket + 2] != 'Z' && (*text)[bracket + 2] != 'X');
}

Result<RrVersion> version_of(const std::filesystem::path& rr) {
  ProcessOptions options;
  options.argv = {rr.string(), "--version"};
  CULPRIT_ASSIGN(const ProcessResult run, run_process(options, milliseconds(20'000)));
  return parse_rr_version(run.out.text + run.err.text);
}

}  // namespace

std::optional<std::uint16_t> listening_port(std::string_view standard_error) {
  constexpr std::string_view sign = "target extended-remote ";
  const std::size_t start = standard_error.find(sign);
  if (start == std::string_view::npos) return std::nullopt;
  std::string_view rest = standard_error.substr(start + sign.size());
  // The line must be whole.
  const std::size_t newline = rest.find('\n');
  if (newline == std::string_view::npos) return std::nullopt;
  rest = rest.substr(0, rest.find_first_of(" '\"\n"));
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::uint16_t port = 0;
  const std::string_view digits = rest.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0)
    return std::nullopt;
  return port;
}

Result<std::unique_ptr<RrServer>> RrServer::start(const ServerOptions& options) {
  const auto rr = find_program(options.command.rr.string());
  if (!rr) return Error{ErrorCode::not_found, "no rr: " + options.command.rr.string()};
  CULPRIT_ASSIGN(const RrVersion version, version_of(*rr));
  const auto end = Clock::now() + options.start_deadline;
  for (int attempt = 1;; ++attempt) {
    CULPRIT_ASSIGN(const std::uint16_t port, free_port());
    ProcessOptions process_options = rr_process_options(options.command, -1);
    process_options.argv = {*rr, "replay", "-q", "-k", "-s", std::to_string(port)};
    if (options.process) {
      process_options.argv.insert(process_options.argv.end(),
                                  {options.forked ? "-f" : "-p", std::to_string(options.process->value)});
    }
    process_options.argv.push_back(options.trace_dir.string());
    CULPRIT_ASSIGN(Process process, Process::start(process_options));
    std::unique_ptr<RrServer> server(new RrServer(std::move(process)));
    std::optional<ExitStatus> ended;
    std::optional<std::uint16_t> listening;
    while (!listening && !ended) {
      CULPRIT_ASSIGN(ended, server->process_.wait(milliseconds(5)));
      listening = listening_port(server->process_.captured_err().text);
      if (!listening && !ended && Clock::now() > end) {
        return Error{ErrorCode::timeout, "rr's gdb server did not start"};
      }
    }
    if (!listening) {
      const std::string why = rr_complaint(server->process_.captured_err().text, ended->describe());
      if (why.find("bind") != std::string::npos && attempt < most_attempts) continue;
      return Error{ErrorCode::replay_failed, "rr replay ended early: " + why};
    }
    CULPRIT_ASSIGN(FileDescriptor socket, connect_to(*listening));
    auto client =
        Client::open(std::make_unique<Connection>(std::move(socket), options.log), version);
    if (!client.ok()) return server->explain(client.error());
    server->client_ = std::move(*client);
    return server;
  }
}

Error RrServer::explain(Error error) {
  if (error.code != ErrorCode::replay_failed) return error;
  // It may still be writing down why it died.
  const auto ended = process_.wait(milliseconds(5000), /*interruptible=*/false);
  const std::string how =
      ended.ok() && *ended ? (*ended)->describe() : std::string("it did not say why");
  error.message = "the replay died: " + rr_complaint(process_.captured_err().text, how);
  return error;
}

RrServer::~RrServer() {
  const std::vector<pid_t> tracees = tracees_of(process_.pid());
  client_.reset();
  process_.kill();
  const auto end = Clock::now() + milliseconds(2000);
  for (const pid_t pid : tracees) {
    while (is_alive(pid) && Clock::now() < end) ::usleep(500);
  }
}

}  // namespace culprit::replay::gdb
