// For end-to-end tests: records small programs with the real rr, once each, and replays them.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/exact_ticks_file.h"
#include "agent/launch.h"
#include "base/file.h"
#include "base/subprocess.h"
#include "replay/forward_replay.h"

namespace culprit::replay {

/// A recording, kept until the test program ends.
struct Recording {
  std::filesystem::path trace;
  std::map<std::string, Address> addresses;  ///< the program's first line: "name=0x... name=0x..."
  std::unique_ptr<Replay> replay;
  const ForwardReplay& forward() const { return static_cast<const ForwardReplay&>(*replay); }
  const TraceIndex& index() const { return forward().index(); }
  Address at(const std::string& name) const { return addresses.at(name); }
};

/// Notes everything that a pass reports.
struct Notes : PassObserver {
  std::vector<Hit> hits;
  std::vector<MapEvent> map_events;
  std::optional<Position> end;
  Registers end_registers;
  Next on_hit(const Hit& hit, const LiveState*) override {
    hits.push_back(hit);
    return Next::go_on;
  }
  void on_map_event(const MapEvent& event) override { map_events.push_back(event); }
  void on_end(const Position& at, const Registers& registers, const LiveState&) override {
    end = at;
    end_registers = registers;
  }
};

/// Records `program` (a target of this folder's CMakeLists.txt) with arguments; nullptr with a test
/// failure if that cannot be done.
inline Recording* record(const std::string& program, const std::vector<std::string>& arguments = {},
                         bool exact_ticks = false) {
  static auto* directory = [] {
    auto made = TemporaryDirectory::create("culprit-replay-test");
    // Removed at exit: a static's destructor runs after the last test.
    static auto kept = made.ok() ? std::optional(std::move(*made)) : std::nullopt;
    return kept ? &*kept : nullptr;
  }();
  static std::map<std::string, std::unique_ptr<Recording>> recordings;
  std::string key = program;
  for (const auto& argument : arguments) key += "-" + argument;
  if (exact_ticks) key += "-exact";
  if (const auto known = recordings.find(key); known != recordings.end()) {
    return known->second.get();
  }
  if (directory == nullptr) {
    ADD_FAILURE() << "no temporary directory";
    return nullptr;
  }
  ProcessOptions options;
  auto recording = std::make_unique<Recording>();
  recording->trace = directory->path() / key;
  options.argv = {"rr",
                  "record",
                  "-n",
                  "-c",
                  "1",
                  "-o",
                  recording->trace.string(),
                  "--",
                  std::string(CULPRIT_TEST_PROGRAMS) + "/replay_program_" + program};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  agent::AgentConfig config;
  config.mode = agent::AgentConfig::Mode::record;
  if (exact_ticks) config.ticks = agent::AgentConfig::Ticks::exact;
  agent::preload_agent(options, CULPRIT_TEST_AGENT, config);
  const auto result = run_process(options, std::chrono::seconds(60));
  if (!result.ok()) {
    ADD_FAILURE() << result.error().message;
    return nullptr;
  }
  if (exact_ticks) {
    const Status marked = write_file_atomically(recording->trace / agent::exact_ticks_file, "v1\n");
    if (!marked.ok()) {
      ADD_FAILURE() << marked.error().message << "\n" << result->err.text;
      return nullptr;
    }
  }
  const std::string& text = result->out.text;
  for (std::size_t at = 0; at < text.find('\n');) {
    const std::size_t equals = text.find('=', at);
    const std::size_t end = text.find_first_of(" \n", at);
    if (equals == std::string::npos || end == std::string::npos) break;
    recording->addresses[text.substr(at, equals - at)] =
        Address{std::strtoull(text.c_str() + equals + 1, nullptr, 16)};
    at = end + 1;
  }
  ForwardOptions forward;
  forward.trace_dir = recording->trace;
  forward.command.agent = CULPRIT_TEST_AGENT;
  auto replay = ForwardReplay::open(forward);
  if (!replay.ok()) {
    ADD_FAILURE() << replay.error().message << "\n" << result->err.text;
    return nullptr;
  }
  recording->replay = std::move(*replay);
  return (recordings[key] = std::move(recording)).get();
}

/// The same with exact ticks.
inline Recording* record_exactly(const std::string& program) {
  return record(program, {}, /*exact_ticks=*/true);
}

/// Pids of processes that run one of the test programs or replay the trace.
inline std::vector<std::string> processes_of(const Recording& recording) {
  std::vector<std::string> found;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", code)) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto command = read_file(entry.path() / "cmdline", 1 << 16);
    const auto maps = read_file(entry.path() / "maps", 1 << 22);
    const std::string trace = recording.trace.string();
    if ((command.ok() && command->find(trace) != std::string::npos) ||
        (maps.ok() && maps->find(trace + "/") != std::string::npos)) {
      found.push_back(pid);
    }
  }
  return found;
}

}  // namespace culprit::replay
