// Each recording with software ticks replays as it ran, or is refused with a reason in seconds.
//
// How a divergence is seen: the programs print a checksum that depends on the order in which their
// threads and handlers ran (a replay prints from the replayed memory), and where the program is
// small enough rr itself hashes all memory at each event of the recording and compares in the
// replay (rr -C).
#include <stdlib.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <string>
#include <vector>

#include "agent/landing_set.h"
#include "base/subprocess.h"
#include "recording_test.h"

namespace culprit::recorder {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

/// CULPRIT_SOUNDNESS_RUNS=10 is the long form.
int runs() {
  const char* text = ::getenv("CULPRIT_SOUNDNESS_RUNS");
  const int chosen = text != nullptr ? ::atoi(text) : 0;
  return std::clamp(chosen > 0 ? chosen : 2, 1, 1000);
}

struct Program {
  const char* name;
  std::vector<std::string> arguments;
  bool hash_memory = true;  ///< not for Go's heap, nor where time decides how many events there are
  bool lands = false;       ///< cannot be recorded without a landing
  bool slow = false;        ///< its landing takes seconds to be found
};
void PrintTo(const Program& program, std::ostream* out) { *out << program.name; }

const std::vector<Program>& table() {
  static const std::vector<Program> programs = {{"ping_pong", {}, true, true},
                                                {"spin_counting", {}, true, true},
                                                {"pause_backoff", {}},
                                                {"spin_locks", {}, true, true},
                                                {"spin_barrier", {}, true, true},
                                                {"alarm_in_place", {}, true, true},
                                                {"alarm_in_place", {"profile"}, true, true},
                                                {"timers_with_syscalls", {}},
                                                {"wait_in_handler", {}, false, true},
                                                {"jump_to_itself", {}, true, true},
                                                {"blocked_start_up", {}, true, true},
                                                {"mutex_condvar", {}},
                                                {"fork_exec", {}, true, true},
                                                {"string_in_place", {}, true, true, true},
                                                {"long_compute", {}},
                                                {"go_gc", {}, false}};
  return programs;
}

class Soundness : public RecordingTest {
 protected:
  RecordOptions options_for(const Program& program, int run) {
    std::vector<std::string> command = {RecordingTest::program(program.name)};
    command.insert(command.end(), program.arguments.begin(), program.arguments.end());
    RecordOptions out = options(std::move(command));
    out.output = directory() / std::to_string(run);
    // rr 5.10 hashes its own page at 0x70000000 too, which it writes differently in a replay.
    const auto rr = find_rr();
    if (program.hash_memory && rr.ok() && rr->major == 5 && rr->minor == 6) {
      out.rr_options = {"-C", "on-all-events"};
    }
    return out;
  }
};

class Programs : public Soundness, public testing::WithParamInterface<Program> {};

TEST_P(Programs, ReplayAsTheyRan) {
  const Program& program = GetParam();
  if (::access(RecordingTest::program(program.name).c_str(), X_OK) != 0) {
    GTEST_SKIP() << program.name << " was not built (no Go?)";
  }
  const int count = program.slow ? std::max(1, runs() / 4) : runs();
  int refused = 0;
  for (int run = 0; run < count; ++run) {
    const RecordOptions o = options_for(program, run + refused);
    const auto outcome = RecordingTest::run(o);
    // A recording that its own check refuses, loudly, is not unsound, and once in some dozens of busy runs
    // it happens to a program that spins (docs/design.md, "Landings"): not more than once here.
    if (!outcome.ok() && outcome.error().code == ErrorCode::replay_failed && refused == 0) {
      ++refused;
      --run;
      continue;
    }
    ASSERT_TRUE(outcome.ok()) << "recording " << run << ": " << outcome.error().message;
    EXPECT_EQ(outcome->failure, "exit code 7");
    EXPECT_TRUE(outcome->out.text.starts_with("checksum ")) << outcome->out.text;
    EXPECT_TRUE(outcome->verified);
    EXPECT_EQ(outcome->verification, "replayed once with the same output");
    EXPECT_EQ(outcome->ticks.held, outcome->ticks.released);
    if (program.lands) {
      EXPECT_GT(outcome->ticks.landed, 0u) << "nothing was tested";
      EXPECT_FALSE(outcome->landings.empty());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, Programs, testing::ValuesIn(table()),
                         [](const testing::TestParamInfo<Program>& parameter) {
                           std::string name = parameter.param.name;
                           for (const std::string& argument : parameter.param.arguments)
                             name += "_" + argument;
                           return name;
                         });

// ---- A trace with landings is a trace like another

void expect_the_chain(const std::string& program, const std::filesystem::path& trace) {
  ProcessOptions p;
  p.argv = {CULPRIT_BINARY, "run",          "-q", "--engine", "software",
            "-o",           trace.string(), "--", program};
  const auto result = run_process(p, seconds(60));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->status.code, 0) << result->err.text;
  EXPECT_TRUE(std::filesystem::exists(trace / agent::landings_file));
  EXPECT_NE(result->out.text.find("publish stored 0x123450"), std::string::npos)
      << result->out.text;
}

TEST_F(Soundness, PassesCountLandingsToo) {
  expect_the_chain(program("spin_for_pointer"), directory() / "trace");
}

// ---- Another rr

/// The table once, with the rr that CULPRIT_NEWER_RR names (scripts/newer-rr fetches one).
class NewerRr : public Soundness {
 protected:
  void SetUp() override {
    const char* path = ::getenv("CULPRIT_NEWER_RR");
    const std::string fetched = CULPRIT_FETCHED_RR;
    if (path == nullptr && ::access(fetched.c_str(), X_OK) == 0) path = fetched.c_str();
    if (path == nullptr) {
      GTEST_SKIP() << "no other rr: run scripts/newer-rr, or set CULPRIT_NEWER_RR";
    }
    ::setenv("CULPRIT_RR", path, 1);
    Soundness::SetUp();
  }
  void TearDown() override { ::unsetenv("CULPRIT_RR"); }
};

TEST_F(NewerRr, RecordsTheTable) {
  int number = 0;
  for (const Program& program : table()) {
    if (program.slow) continue;
    if (::access(RecordingTest::program(program.name).c_str(), X_OK) != 0) continue;
    const auto outcome = RecordingTest::run(options_for(program, number++));
    ASSERT_TRUE(outcome.ok()) << program.name << ": " << outcome.error().message;
    EXPECT_EQ(outcome->verification, "replayed once with the same output") << program.name;
    EXPECT_EQ(outcome->failure, "exit code 7") << program.name;
  }
}

TEST_F(NewerRr, RunsPasses) {
  expect_the_chain(program("spin_for_pointer"), directory() / "trace");
}

// ---- The suite would notice

class Unsound : public Soundness {
 protected:
  void SetUp() override {
    Soundness::SetUp();
    ::setenv("CULPRIT_AGENT_LIB", CULPRIT_UNSOUND_AGENT, 1);
  }
  void TearDown() override { ::unsetenv("CULPRIT_AGENT_LIB"); }

  /// Is one of some recordings seen to diverge?
  bool noticed(const Program& program) {
    for (int run = 0; run < 8; ++run) {
      RecordOptions o = options_for(program, run);
      o.verify_deadline = seconds(5);
      const auto outcome = RecordingTest::run(o);
      if (!outcome.ok() && outcome.error().code == ErrorCode::replay_failed) return true;
    }
    return false;
  }
};

TEST_F(Unsound, SignalsAnywhereAreNoticedInTheOutput) {
  EXPECT_TRUE(noticed({"alarm_in_place", {}, false}));
}

TEST_F(Unsound, SignalsAnywhereAreNoticedInMemory) {
  EXPECT_TRUE(noticed({"timers_with_syscalls", {}, true}));
}

TEST_F(Unsound, UncountedLandingsAreNoticedInTheOutput) {
  EXPECT_TRUE(noticed({"spin_counting", {}, false}));
}

TEST_F(Unsound, UncountedLandingsAreNoticedInMemory) {
  EXPECT_TRUE(noticed({"spin_counting", {}, true}));
}

// ---- Refusals

class Refusals : public Soundness {};

TEST_F(Refusals, NameTheLoopWithinSeconds) {
  for (const char* name : {"ping_pong", "alarm_in_place"}) {
    RecordOptions o = options_for({name, {}, false}, 0);
    o.learn_landings = false;
    o.refusal_retries = 0;
    o.hold_limit = seconds(1);
    const auto start = Clock::now();
    const auto outcome = RecordingTest::run(o);
    EXPECT_LT(Clock::now() - start, seconds(8)) << name;
    ASSERT_FALSE(outcome.ok()) << name;
    EXPECT_EQ(outcome.error().code, ErrorCode::cannot_record);
    EXPECT_NE(outcome.error().message.find(std::string("it was at ") + name + "+0x"),
              std::string::npos)
        << outcome.error().message;
  }
}

TEST_F(Refusals, AskForTheNameOfThePlace) {
  RecordOptions o = options_for({"ping_pong", {}, false}, 0);
  o.learn_landings = false;
  o.refusal_retries = 0;
  o.starve_limit = milliseconds(500);
  o.name_place = [&](const CodePlace& place) {
    EXPECT_EQ(place.file, o.command.front());
    EXPECT_NE(place.address, 0u);
    return std::string("here");
  };
  const auto outcome = RecordingTest::run(o);
  ASSERT_FALSE(outcome.ok());
  EXPECT_TRUE(outcome.error().message.ends_with("(it was at here)")) << outcome.error().message;
}

}  // namespace
}  // namespace culprit::recorder
