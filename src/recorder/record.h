// Recording a command until it fails.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/landing_set.h"
#include "base/progress.h"
#include "base/result.h"
#include "base/subprocess.h"
#include "recorder/engine_probe.h"
#include "recorder/processor_claim.h"

namespace culprit::recorder {

/// Which endings of the program count as the failure that is wanted.
struct Until {
  bool signal = true;  ///< killed by a signal
  bool exit = true;    ///< exit code other than 0
  bool text = true;    ///< a crash text on stderr, whatever the exit code
};

/// Texts that crashing programs and their runtimes print (substrings of stderr).
const std::vector<std::string>& default_crash_texts();

/// A place in a program's code, as a running process shows it.
struct CodePlace {
  std::uint64_t address = 0;
  std::filesystem::path file;      ///< the mapped file; empty: none
  std::uint64_t file_offset = 0;   ///< of the address in it
};

/// What to record, and how.
struct RecordOptions {
  std::vector<std::string> command;           ///< program and arguments
  std::filesystem::path output;               ///< the trace's directory; empty: a new one, see
                                              ///< default_trace_root()
  unsigned attempts = 1;                      ///< runs until it fails, at most this many
  std::optional<std::chrono::milliseconds> timeout;  ///< of one run; then it is killed, and that
                                                     ///< counts as its failure
  Until until;
  std::vector<std::string> crash_texts = default_crash_texts();
  /// Output (of either stream) for which this is true counts as failure, whatever the exit code.
  /// May be null.
  std::function<bool(std::string_view)> failure_output;
  std::optional<Engine> engine;               ///< nothing: the best that the machine has
  bool verify = true;                         ///< replay the trace once
  /// Options of rr itself, before its subcommand, for the recording and its verification.
  std::vector<std::string> rr_options;
  std::chrono::milliseconds verify_deadline{120'000};
  /// The program's output is copied here as it runs: its stdout to `out_fd`, stderr to `err_fd`;
  /// -1: not shown.
  int out_fd = 1;
  int err_fd = 2;
  std::size_t output_limit = std::size_t{16} << 20;  ///< bytes of each stream that are kept
  /// Software ticks: see agent/config.h.
  std::chrono::milliseconds hold_limit{3000};
  std::chrono::milliseconds starve_limit{4000};
  /// Software ticks: a run that was refused because a thread kept the others from running is made
  /// again so many times, since whether threads meet in a spin is often chance (Go's Gosched loops
  /// while another thread sweeps). All but the last of them wait for at most 2 s.
  unsigned refusal_retries = 2;
  /// Software ticks: a run that was ended because a thread waits in a loop without system calls is
  /// made again with an instruction of that loop counted (agent/landing_counter.h).
  bool learn_landings = true;
  /// Exact ticks: a program that executes more instructions is refused. At 15 to 50 µs each this is a
  /// minute or two, and a replay takes as long.
  std::uint64_t most_steps = 3'000'000;
  /// Names a place for an error message ("f, f.c:12"); empty where it cannot. May be null.
  std::function<std::string(const CodePlace&)> name_place;
};

/// What the agent counted (software ticks).
struct TicksStatistics {
  unsigned long held = 0;
  unsigned long released = 0;
  unsigned long dropped = 0;
  unsigned long interrupts = 0;
  unsigned long landed = 0;  ///< events put at a landing
  unsigned long killed = 0;  ///< tasks killed in user code: their last stretch is not replayed
};

/// A failing run, recorded.
struct RecordOutcome {
  std::filesystem::path trace;
  Engine engine = Engine::software;
  RrProgram rr;
  ExitStatus status;
  bool timed_out = false;       ///< it was killed at the timeout
  std::string failure;          ///< "signal 6 (SIGABRT)", "exit code 2", "crash text 'panic:'", ...
  CapturedOutput out;
  CapturedOutput err;
  unsigned attempts = 1;        ///< runs made, this one included
  std::chrono::milliseconds elapsed{0};         ///< of this run
  std::chrono::milliseconds replay_elapsed{0};  ///< of the verifying replay
  bool verified = false;
  std::string verification;     ///< one line: what the replay showed
  TicksStatistics ticks;
  /// Software and exact ticks: where this recording ran and its replays run. Nothing: as rr drew it.
  std::optional<ProcessorClaim> processor;
  agent::LandingSet landings;   ///< counted in this recording; a replay needs them (they are stored)
};

/// Runs `options.command` under rr until it fails, keeps that trace, stores the output beside it
/// (culprit-stdout, culprit-stderr, culprit-record.json) and replays it once. Traces of runs that
/// did not fail are removed; nothing that existed before is touched.
///
/// Errors: usage (no such program, output directory in use), did_not_fail, cannot_record (no rr, no
/// ptrace, refused by the agent, no space), replay_failed (the trace stays), interrupted (Ctrl-C:
/// the program is stopped, the trace so far stays if rr could close it), io.
[[nodiscard]] Result<RecordOutcome> record(const RecordOptions& options, Progress& progress);

/// What one replay of a trace showed.
struct ReplayCheck {
  bool same_output = false;   ///< byte for byte
  bool subset = false;        ///< parts of the output are missing: they did not go through a stream
                              ///< that rr repeats
  /// Of the first line that differs, for people: "“b” where the program printed “a”"; escaped and
  /// short. Empty if none does.
  std::string difference;
  std::chrono::milliseconds elapsed{0};
};

/// Replays `trace` once to its end and compares its output. Errors: replay_failed, timeout,
/// interrupted.
[[nodiscard]] Result<ReplayCheck> verify_trace(const RrProgram& rr, Engine engine,
                                               const std::filesystem::path& trace,
                                               const CapturedOutput& out, const CapturedOutput& err,
                                               std::size_t output_limit,
                                               std::chrono::milliseconds deadline,
                                               const std::vector<std::string>& rr_options = {});

/// ReplayCheck::difference of two texts.
[[nodiscard]] std::string first_difference(std::string_view recorded, std::string_view replayed);

}  // namespace culprit::recorder
