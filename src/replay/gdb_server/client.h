// What can be asked of rr's gdb server, as typed calls.
//
// Facts about rr (GdbConnection.cc, GdbServer.cc, GdbCommand.cc of 5.6.0 to 5.10; tried with both:
// scripts/newer-rr):
// * A packet that it cannot parse, a `z` for a breakpoint that was never set, the wrong form of
// qRRCmd,
//   and most packets after W00 end it. So all that is sent is made here, and checked before.
// * While it runs, any byte interrupts it at a place that means nothing: nothing is sent then.
// * qRRCmd has the thread in it from 5.8 on, in decimal (as `rr gdbinit` sends it). "when" then
//   says "Completed event", one lower.
// * `bc` to a write leaves the program *before* the writing instruction, `c` behind it.
// * vRun removes all breakpoints, and moves to an event, a checkpoint or a tick.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/registers.h"
#include "base/result.h"
#include "base/types.h"
#include "replay/gdb_server/connection.h"
#include "replay/gdb_server/stop_reply.h"

namespace culprit::replay::gdb {

/// "5.6.0" and the like.
struct RrVersion {
  int major = 0;
  int minor = 0;
  /// From 5.8 on qRRCmd names a thread.
  bool commands_name_threads() const { return major > 5 || (major == 5 && minor >= 8); }
  /// From 5.8 on "when" names the event before.
  bool when_is_completed_event() const { return commands_name_threads(); }
};

/// "rr version 5.6.0". Errors: bad_input.
[[nodiscard]] Result<RrVersion> parse_rr_version(std::string_view text);

enum class StopPointKind : std::uint8_t {
  software_breakpoint = 0,
  hardware_breakpoint = 1,
  write_watchpoint = 2,   ///< stops where the bytes have changed, also at kernel writes
  access_watchpoint = 4,  ///< stops at each instruction that reads or writes, whatever the bytes
};

/// A breakpoint (size 1) or a watchpoint.
struct StopPoint {
  StopPointKind kind = StopPointKind::software_breakpoint;
  Address address;
  std::uint32_t size = 1;
  auto operator<=>(const StopPoint&) const = default;
};

/// A condition for the server: the 8 bytes at `address` are `value`. Agent-expression bytes.
[[nodiscard]] std::string equals_condition(Address address, std::uint64_t value);

enum class Direction : std::uint8_t { forward, backward };

/// The state of the recorded program that the server shows.
class Client {
 public:
  using Milliseconds = std::chrono::milliseconds;

  /// Agrees on the protocol. Errors: those of Connection::exchange; bad_input (a server that lacks
  /// what rr's has always had).
  [[nodiscard]] static Result<std::unique_ptr<Client>> open(std::unique_ptr<Connection> connection,
                                                            RrVersion version);

  /// Calls that have no deadline of their own wait for their answer 30 s, and from now on not
  /// longer than until `end`.
  void answer_until(std::chrono::steady_clock::time_point end) { answers_end_ = end; }

  /// All live threads.
  [[nodiscard]] Result<std::vector<ThreadName>> threads();
  /// The thread that the last stop belongs to; registers() and read() are about it.
  [[nodiscard]] const ThreadName& thread() const { return thread_; }
  [[nodiscard]] Status select(const ThreadName& thread);
  [[nodiscard]] Result<Registers> registers();
  /// Up to out.size() bytes, fewer where unreadable memory begins.
  [[nodiscard]] Result<std::size_t> read(Address address, std::span<std::byte> out);

  /// Errors: usage (the server has no room for it: four debug registers).
  [[nodiscard]] Status set(const StopPoint& point, std::string_view condition = {});
  /// Removes it if it is set.
  [[nodiscard]] Status remove(const StopPoint& point);
  [[nodiscard]] Status remove_all();

  /// Runs until something stops the program. A breakpoint where it stands already does not count,
  /// as with gdb. Errors: timeout, after which the connection is closed.
  [[nodiscard]] Result<StopReply> resume(Direction direction, Milliseconds deadline);
  /// One instruction of the current thread.
  [[nodiscard]] Result<StopReply> step(Direction direction, Milliseconds deadline);

  /// Starts the replay again and stops behind the frame `event` of the trace (or a later one, where
  /// that is in another process): event() is then at least one more. All stop points are gone.
  /// Errors: not_found (the trace ends before).
  [[nodiscard]] Status restart(EventNumber event, Milliseconds deadline);
  /// A checkpoint at this moment, to be deleted by its number.
  [[nodiscard]] Result<std::uint32_t> make_checkpoint(Milliseconds deadline);
  [[nodiscard]] Status restart_at_checkpoint(std::uint32_t checkpoint, Milliseconds deadline);
  [[nodiscard]] Status delete_checkpoint(std::uint32_t checkpoint);

  /// The frame that comes next, as `rr dump` numbers it: all before it have been replayed.
  [[nodiscard]] Result<EventNumber> event();
  /// The current thread's ticks.
  [[nodiscard]] Result<std::uint64_t> ticks();

  [[nodiscard]] bool closed() const { return connection_->closed(); }

 private:
  Client(std::unique_ptr<Connection> connection, RrVersion version)
      : connection_(std::move(connection)), version_(version) {}
  [[nodiscard]] Status agree();
  [[nodiscard]] Result<std::string> ask(std::string_view packet);
  [[nodiscard]] Milliseconds answer_deadline() const;
  [[nodiscard]] Result<StopReply> run(std::string_view packet, Milliseconds deadline);
  /// After a restart rr answers the first resume at once, with signal 0 and nothing executed.
  [[nodiscard]] Result<StopReply> run_on(std::string_view packet, Milliseconds deadline);
  [[nodiscard]] Status run_to(std::string_view target, Milliseconds deadline);
  /// The text that a command of rr's own (`when`) prints.
  [[nodiscard]] Result<std::string> command(std::string_view name, std::string_view argument,
                                            Milliseconds deadline);
  [[nodiscard]] Result<std::uint64_t> number_from_command(std::string_view name);
  [[nodiscard]] Status learn_thread();
  /// The breakpoints on the instruction that is about to execute.
  [[nodiscard]] Result<std::map<StopPoint, std::string>> breakpoints_here();

  std::unique_ptr<Connection> connection_;
  RrVersion version_;
  std::chrono::steady_clock::time_point answers_end_ = std::chrono::steady_clock::time_point::max();
  ThreadName thread_;
  bool ended_ = false;                       ///< W or X was seen: only a restart is allowed
  bool fresh_ = false;                       ///< nothing was resumed since a restart
  std::map<StopPoint, std::string> points_;  ///< with their conditions
};

}  // namespace culprit::replay::gdb
