// `rr replay -s`: rr as a gdb server for one trace, from its start to its end.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/subprocess.h"
#include "replay/gdb_server/client.h"
#include "replay/trace_index.h"

namespace culprit::replay::gdb {

struct ServerOptions {
  std::filesystem::path trace_dir;
  RrCommand command;
  std::optional<ProcessId> process;  ///< debug this one; nothing: the first that the trace has
  bool forked = false;  ///< `process` goes on as its parent was: from its fork, not from an exec
  /// Until the server listens: rr replays up to the process's exec first.
  std::chrono::milliseconds start_deadline{60'000};
  std::shared_ptr<TranscriptLog> log;  ///< may be null
};

/// The line of rr's stderr that names its port: "target extended-remote 127.0.0.1:47131". Nothing
/// if it is not there (yet).
[[nodiscard]] std::optional<std::uint16_t> listening_port(std::string_view standard_error);

/// A running server and the connection to it. The destructor ends rr and every task that it
/// replays, and waits until they are gone.
class RrServer {
 public:
  /// Errors: not_found (no rr), replay_failed (rr ended; what it complained of is in the message),
  /// timeout, io.
  [[nodiscard]] static Result<std::unique_ptr<RrServer>> start(const ServerOptions& options);
  ~RrServer();
  RrServer(const RrServer&) = delete;
  RrServer& operator=(const RrServer&) = delete;

  [[nodiscard]] Client& client() { return *client_; }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  /// The error of a call on client(), with rr's own complaint where rr has died of it.
  [[nodiscard]] Error explain(Error error);

 private:
  explicit RrServer(Process process) : process_(std::move(process)) {}
  Process process_;
  std::unique_ptr<Client> client_;
};

}  // namespace culprit::replay::gdb
