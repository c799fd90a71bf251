// End to end: a program recorded with exact ticks by the real rr, searched backwards through its
// gdb server.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "replay/gdb_server/rr_server.h"
#include "replay/replay_fixture.h"

namespace culprit::replay::gdb {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds patient{120'000};

class RrServerTest : public testing::Test {
 protected:
  void SetUp() override {
    recording_ = record_exactly("exact");
    ASSERT_NE(recording_, nullptr);
  }

  std::unique_ptr<RrServer> start() {
    ServerOptions options;
    options.trace_dir = recording_->trace;
    options.command.agent = CULPRIT_TEST_AGENT;
    auto server = RrServer::start(options);
    EXPECT_TRUE(server.ok()) << server.error().message;
    return server.ok() ? std::move(*server) : nullptr;
  }

  /// Runs to the crash.
  void run_to_crash(Client& client) {
    for (;;) {
      const auto stop = client.resume(Direction::forward, patient);
      ASSERT_TRUE(stop.ok()) << stop.error().message;
      ASSERT_EQ(stop->kind, StopReply::Kind::signal);
      if (stop->signal == SIGSEGV) return;
    }
  }

  /// The instruction that wrote the slot last: registers before it.
  void search_back(Client& client, Address slot, Registers& before) {
    const StopPoint point{StopPointKind::write_watchpoint, slot, 8};
    ASSERT_TRUE(client.set(point).ok());
    for (int stops = 0; stops < 10; ++stops) {
      const auto stop = client.resume(Direction::backward, patient);
      ASSERT_TRUE(stop.ok()) << stop.error().message;
      if (!stop->watch) continue;
      EXPECT_EQ(*stop->watch, slot);
      const auto registers = client.registers();
      ASSERT_TRUE(registers.ok());
      before = *registers;
      ASSERT_TRUE(client.remove(point).ok());
      return;
    }
    FAIL() << "no writer was found";
  }

  std::uint64_t value_at(Client& client, Address slot) {
    std::uint64_t value = 0;
    const auto read = client.read(slot, std::as_writable_bytes(std::span(&value, 1)));
    EXPECT_EQ(read.value_or(0), 8u);
    return value;
  }

  bool in_function(const char* name, std::uint64_t rip) {
    const std::uint64_t start = recording_->at(name).value;
    return rip >= start && rip < start + 256;
  }

  Recording* recording_ = nullptr;
};

TEST_F(RrServerTest, FindsTheTrueLastWritersBackwards) {
  const auto server = start();
  ASSERT_NE(server, nullptr);
  Client& client = server->client();
  run_to_crash(client);
  EXPECT_EQ(value_at(client, recording_->at("by_store")), 0x4444u);

  Registers before;
  search_back(client, recording_->at("by_rep"), before);
  EXPECT_TRUE(in_function("repeat", before.rip)) << to_hex(before.rip);
  EXPECT_EQ(before[Gpr::rax], 0x5555u);
  EXPECT_EQ(value_at(client, recording_->at("by_rep")), 0x2222u);

  search_back(client, recording_->at("by_store"), before);
  EXPECT_TRUE(in_function("store", before.rip)) << to_hex(before.rip);
  EXPECT_EQ(value_at(client, recording_->at("by_store")), 0x3333u);
  // The store itself, and what a step back and forth makes of it.
  ASSERT_TRUE(client.step(Direction::forward, patient).ok());
  EXPECT_EQ(value_at(client, recording_->at("by_store")), 0x4444u);
  ASSERT_TRUE(client.step(Direction::backward, patient).ok());
  EXPECT_EQ(client.registers()->rip, before.rip);
  EXPECT_EQ(value_at(client, recording_->at("by_store")), 0x3333u);

  search_back(client, recording_->at("by_handler"), before);
  EXPECT_TRUE(in_function("on_signal", before.rip)) << to_hex(before.rip);
  EXPECT_EQ(value_at(client, recording_->at("by_handler")), 0u);
}

TEST_F(RrServerTest, CountsAreTheSameInEachReplay) {
  std::vector<std::uint64_t> seen;
  for (int round = 0; round < 2; ++round) {
    const auto server = start();
    ASSERT_NE(server, nullptr);
    Client& client = server->client();
    // However often the program is stopped on its way.
    const StopPoint point{StopPointKind::software_breakpoint, recording_->at("store"), 1};
    if (round == 1) {
      ASSERT_TRUE(client.set(point).ok());
    }
    run_to_crash(client);
    seen.push_back(client.ticks().value_or(0));
  }
  EXPECT_GT(seen[0], 100u);
  EXPECT_EQ(seen[0], seen[1]);
}

TEST_F(RrServerTest, ACheckpointIsAnExactMoment) {
  const auto server = start();
  ASSERT_NE(server, nullptr);
  Client& client = server->client();
  run_to_crash(client);
  Registers before;
  search_back(client, recording_->at("by_store"), before);
  const auto ticks = client.ticks();
  const auto event = client.event();
  const auto checkpoint = client.make_checkpoint(patient);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  run_to_crash(client);
  ASSERT_TRUE(client.restart_at_checkpoint(*checkpoint, patient).ok());
  EXPECT_EQ(client.registers()->rip, before.rip);
  EXPECT_EQ(client.ticks().value_or(0), ticks.value_or(1));
  EXPECT_EQ(client.event()->value, event->value);
  EXPECT_EQ(value_at(client, recording_->at("by_store")), 0x3333u);
  EXPECT_TRUE(client.delete_checkpoint(*checkpoint).ok());
}

TEST_F(RrServerTest, LeavesNoProcessBehind) {
  pid_t pid = 0;
  {
    const auto server = start();
    ASSERT_NE(server, nullptr);
    pid = server->pid();
    EXPECT_FALSE(processes_of(*recording_).empty());
    ASSERT_TRUE(server->client().resume(Direction::forward, patient).ok());
  }
  EXPECT_NE(::kill(pid, 0), 0);
  EXPECT_TRUE(processes_of(*recording_).empty());
}

TEST_F(RrServerTest, ADeadRrIsToldAsOne) {
  const auto server = start();
  ASSERT_NE(server, nullptr);
  ASSERT_EQ(::kill(server->pid(), SIGKILL), 0);
  const auto stop = server->client().resume(Direction::forward, patient);
  ASSERT_FALSE(stop.ok());
  const Error error = server->explain(stop.error());
  EXPECT_EQ(error.code, ErrorCode::replay_failed);
  EXPECT_NE(error.message.find("the replay died"), std::string::npos) << error.message;
}

TEST_F(RrServerTest, ALateAnswerEndsTheReplay) {
  pid_t pid = 0;
  {
    const auto server = start();
    ASSERT_NE(server, nullptr);
    pid = server->pid();
    // rr runs for seconds.
    const auto stop = server->client().resume(Direction::forward, milliseconds(20));
    ASSERT_FALSE(stop.ok());
    EXPECT_EQ(stop.error().code, ErrorCode::timeout);
  }
  EXPECT_NE(::kill(pid, 0), 0);
  EXPECT_TRUE(processes_of(*recording_).empty());
}

TEST(RrServer, WhatIsNoTraceIsRefusedWithRrsWords) {
  ServerOptions options;
  options.trace_dir = "/nonexistent";
  options.command.agent = CULPRIT_TEST_AGENT;
  const auto server = RrServer::start(options);
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.error().code, ErrorCode::replay_failed);
  EXPECT_NE(server.error().message.find("rr replay ended early: "), std::string::npos)
      << server.error().message;
}

TEST(ExactTicks, ALargeProgramIsRefused) {
  ASSERT_NE(record_exactly("exact"), nullptr);
  auto directory = TemporaryDirectory::create("culprit-exact-test");
  ASSERT_TRUE(directory.ok());
  ProcessOptions options;
  options.argv = {"rr",
                  "record",
                  "-n",
                  "-o",
                  (directory->path() / "trace").string(),
                  "--",
                  std::string(CULPRIT_TEST_PROGRAMS) + "/replay_program_exact"};
  agent::AgentConfig config;
  config.mode = agent::AgentConfig::Mode::record;
  config.ticks = agent::AgentConfig::Ticks::exact;
  config.most_steps = 200;
  agent::preload_agent(options, CULPRIT_TEST_AGENT, config);
  const auto run = run_process(options, std::chrono::seconds(60));
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(run->status.code, 70);
  EXPECT_NE(run->err.text.find("refused other the program executes more than 200 instructions"),
            std::string::npos)
      << run->err.text;
}

}  // namespace
}  // namespace culprit::replay::gdb
