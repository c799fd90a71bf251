#include "recorder/engine_choice.h"

#include <gtest/gtest.h>

namespace culprit::recorder {
namespace {

const Capability there{true, "the branch counter counts"};
const Capability missing{false, "this machine shows no hardware counters"};

TEST(EngineChoice, RecordsWithCountersWhereTheyAre) {
  EXPECT_EQ(choose_recording_engine(std::nullopt, there), Engine::hardware);
  EXPECT_EQ(choose_recording_engine(std::nullopt, missing), Engine::software);
  EXPECT_EQ(choose_recording_engine(Engine::software, there), Engine::software);
  EXPECT_EQ(choose_recording_engine(Engine::hardware, missing), Engine::hardware);
}

TEST(EngineChoice, ReplaysAsTheTraceWasMade) {
  EXPECT_EQ(choose_replay_engine(false, missing).value_or(Engine::hardware), Engine::software);
  EXPECT_EQ(choose_replay_engine(false, there).value_or(Engine::hardware), Engine::software);
  EXPECT_EQ(choose_replay_engine(true, there).value_or(Engine::software), Engine::hardware);
  const auto refused = choose_replay_engine(true, missing);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::replay_failed);
  EXPECT_NE(refused.error().message.find(missing.detail), std::string::npos);
  EXPECT_EQ(refused.error().message.find('\n'), std::string::npos);
}

TEST(EngineChoice, MachineReportNeedsMoreThanACounter) {
  MachineReport machine;
  EXPECT_FALSE(machine.engine().has_value());
  machine.rr = RrProgram{"/usr/bin/rr", "5.6.0", 5, 6, 0};
  machine.ptrace.usable = machine.seccomp.usable = true;
  machine.hardware_counters = there;
  EXPECT_EQ(machine.engine(), Engine::hardware);
  machine.hardware_counters = missing;
  EXPECT_FALSE(machine.engine().has_value());
  machine.agent = "/lib/libculprit-agent.so";
  machine.software_events.usable = true;
  EXPECT_EQ(machine.engine(), Engine::software);
  machine.rr->minor = 5;
  EXPECT_FALSE(machine.engine().has_value());
}

TEST(EngineChoice, KnowsRrsComplaints) {
  EXPECT_TRUE(is_counter_complaint("[FATAL ./src/PerfCounters.cc:306:start_counter()] Unable to open "
                                   "performance counter with 'perf_event_open'; ..."));
  EXPECT_FALSE(is_counter_complaint("the program's own words\n"));
}

TEST(EngineChoice, OldRrNeedsMergedMaps) {
  EXPECT_TRUE(needs_maps_merged({"rr", "5.6.0", 5, 6, 0}, true));
  EXPECT_FALSE(needs_maps_merged({"rr", "5.6.0", 5, 6, 0}, false));
  EXPECT_FALSE(needs_maps_merged({"rr", "5.9.0", 5, 9, 0}, true));
  EXPECT_FALSE(needs_maps_merged({"rr", "6.0.0", 6, 0, 0}, true));
}

}  // namespace
}  // namespace culprit::recorder
