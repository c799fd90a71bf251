// The driver against a scripted agent: what it does with a good one, a lying one, and a dying one.
#include "replay/forward_session.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>
#include <random>
#include <thread>

#include "agent/pass/control_channel.h"
#include "agent/pass/pass_plan.h"
#include "agent/step_codec.h"

namespace culprit::replay {
namespace {

namespace wire = agent::wire;
using agent::ControlChannel;

struct Outcome {
  Result<PassResult> result = Error{};
  std::vector<std::uint64_t> hits;
  std::vector<std::uint64_t> live_words;
  bool end = false;
};

PassOrders sample_orders() {
  PassOrders orders;
  orders.spec.units = {{0x7000, 8, wire::ProbeKind::write}};
  orders.spec.probes.resize(1);
  orders.spec.probes[0].address = 0x7000;
  orders.spec.probes[0].units = 1;
  orders.clones.resize(3 * wire::kTableChunk / 2);  // two frames
  return orders;
}

Outcome run_session(const std::function<void(ControlChannel&)>& agent_script,
                    Next answer = Next::go_on,
                    std::chrono::milliseconds time = std::chrono::milliseconds{5000}) {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const int agent_end = ends[1];
  std::thread agent([&agent_script, agent_end] {
    ControlChannel channel(agent_end);
    agent_script(channel);
    channel.flush();
  });
  Outcome outcome;
  struct Observer : PassObserver {
    Outcome& outcome;
    Next answer;
    Observer(Outcome& o, Next a) : outcome(o), answer(a) {}
    Next on_hit(const Hit& hit, const LiveState* live) override {
      outcome.hits.push_back(hit.ordinal);
      if (live != nullptr) {
        outcome.live_words.push_back(live->read_u64(hit.registers.pc()).value_or(0));
      }
      return answer;
    }
    void on_end(const Position&, const Registers&, const LiveState&) override {
      outcome.end = true;
    }
  } observer(outcome, answer);
  PassSpec pass;
  pass.probes.resize(1);
  pass.step.emplace();
  pass.step->max_steps = 2;
  const PassOrders orders = sample_orders();
  {
    ForwardSession session(FileDescriptor{ends[0]}, orders, pass, observer,
                           ForwardSession::Clock::now() + time);
    outcome.result = session.run();
  }
  agent.join();
  return outcome;
}

wire::Hit hit_number(std::uint64_t ordinal, bool live = false) {
  wire::Hit hit;
  hit.ordinal = ordinal;
  hit.live = live;
  hit.registers.rip = 0x1234;
  return hit;
}

wire::Done done_with(std::uint64_t matches) {
  wire::Done done;
  done.end_reached = true;
  done.counters = {{matches, matches + 1}};
  return done;
}

TEST(ForwardSession, ARegularPass) {
  const Outcome outcome = run_session([](ControlChannel& channel) {
    const auto plan = agent::receive_plan(channel);
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->clones.size(), 3 * wire::kTableChunk / 2);
    channel.send(hit_number(1));
    channel.send(hit_number(2, true));
    channel.flush();
    const auto ask = channel.receive();
    ASSERT_TRUE(ask && ask->type == wire::Type::read_memory);
    const auto read = wire::parse_payload<wire::ReadMemory>(ask->payload);
    ASSERT_TRUE(read && read->address == 0x1234 && read->length == 8);
    channel.send(wire::Memory{{1, 0, 0, 0, 0, 0, 0, 0}});
    channel.flush();
    ASSERT_EQ(channel.receive()->type, wire::Type::go_on);
    channel.send(wire::StepInfo{7, 3, 3, {}});
    std::vector<std::uint8_t> bytes;
    Registers registers, previous;
    for (std::uint64_t i = 1; i <= 3; ++i) {
      registers.rip = i;
      agent::encode_step(bytes, previous, registers);
      previous = registers;
    }
    channel.send(wire::StepChunk{3, bytes});
    channel.send(wire::EndReached{});
    channel.flush();
    ASSERT_EQ(channel.receive()->type, wire::Type::go_on);
    channel.send(done_with(2));
  });
  ASSERT_TRUE(outcome.result.ok()) << outcome.result.error().message;
  EXPECT_EQ(outcome.hits, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(outcome.live_words, std::vector<std::uint64_t>{1});
  EXPECT_TRUE(outcome.end);
  EXPECT_EQ(outcome.result->matches, std::vector<std::uint64_t>{2});
  EXPECT_EQ(outcome.result->raw_hits, std::vector<std::uint64_t>{3});
  ASSERT_TRUE(outcome.result->window);
  ASSERT_EQ(outcome.result->window->steps.size(), 2U) << "the newest two of three";
  EXPECT_EQ(outcome.result->window->steps[1].rip, 3U);
  EXPECT_TRUE(outcome.result->window->truncated);
}

TEST(ForwardSession, StoppingSendsFinishAndHearsNoMore) {
  const Outcome outcome = run_session(
      [](ControlChannel& channel) {
        ASSERT_TRUE(agent::receive_plan(channel));
        for (std::uint64_t i = 1; i <= 100; ++i) channel.send(hit_number(i));
        channel.flush();
        ASSERT_EQ(channel.receive()->type, wire::Type::finish);
        channel.send(done_with(100));
      },
      Next::stop_pass);
  ASSERT_TRUE(outcome.result.ok());
  EXPECT_EQ(outcome.hits.size(), 1U);
  EXPECT_TRUE(outcome.result->end_reached);
}

TEST(ForwardSession, FailuresAreTold) {
  const auto code_of = [](const std::function<void(ControlChannel&)>& script) {
    const Outcome outcome = run_session(script);
    return outcome.result.ok() ? ErrorCode::not_found : outcome.result.error().code;
  };
  const auto after_start = [](const std::function<void(ControlChannel&)>& script) {
    return [script](ControlChannel& channel) {
      ASSERT_TRUE(agent::receive_plan(channel));
      script(channel);
    };
  };
  // The end of the stream: at once, after the start, after a hit.
  EXPECT_EQ(code_of([](ControlChannel&) {}), ErrorCode::replay_failed);
  EXPECT_EQ(code_of(after_start([](ControlChannel&) {})), ErrorCode::replay_failed);
  EXPECT_EQ(code_of(after_start([](ControlChannel& c) { c.send(hit_number(1)); })),
            ErrorCode::replay_failed);
  // Another version.
  EXPECT_EQ(code_of([](ControlChannel& c) {
              c.send(wire::Hello{99, 1, "other"});
            }),
            ErrorCode::replay_failed);
  // What the agent says of itself.
  EXPECT_EQ(code_of(after_start([](ControlChannel& c) {
              c.send(wire::Failed{wire::Failed::Reason::too_many_hits, "many"});
            })),
            ErrorCode::bad_input);
  // Lies: a hit of no probe, steps of no window, too few counters, an unknown message.
  EXPECT_EQ(code_of(after_start([](ControlChannel& c) {
              wire::Hit hit = hit_number(1);
              hit.probe = 1;
              c.send(hit);
            })),
            ErrorCode::internal);
  EXPECT_EQ(code_of(after_start([](ControlChannel& c) { c.send(wire::StepChunk{}); })),
            ErrorCode::internal);
  EXPECT_EQ(code_of(after_start([](ControlChannel& c) { c.send(wire::Done{}); })),
            ErrorCode::internal);
  EXPECT_EQ(code_of(after_start([](ControlChannel& c) { c.send(wire::GoOn{}); })),
            ErrorCode::internal);
  EXPECT_EQ(code_of(after_start([](ControlChannel& c) {
              c.send(wire::StepInfo{1, 1, 1, {}});
              c.send(wire::StepChunk{5, {1}});
            })),
            ErrorCode::internal);
}

TEST(ForwardSession, ADeadlineEndsASilentAgent) {
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = run_session(
      [](ControlChannel& channel) {
        ASSERT_TRUE(agent::receive_plan(channel));
        channel.receive();  // until the driver hangs up
      },
      Next::go_on, std::chrono::milliseconds{150});
  ASSERT_FALSE(outcome.result.ok());
  EXPECT_EQ(outcome.result.error().code, ErrorCode::timeout);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
}

TEST(ForwardSession, GarbageEndsTheSession) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 50; ++round) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    std::vector<std::uint8_t> bytes;
    wire::append_frame(bytes, wire::Hello{});
    for (std::uint64_t i = 0, size = random() % 4000; i < size; ++i) {
      bytes.push_back(static_cast<std::uint8_t>(random()));
    }
    ASSERT_GT(::send(ends[1], bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
    ::shutdown(ends[1], SHUT_WR);
    PassObserver observer;
    PassSpec pass;
    pass.probes.resize(1);
    PassOrders orders = sample_orders();
    orders.clones.clear();
    ForwardSession session(FileDescriptor{ends[0]}, orders, pass, observer,
                           ForwardSession::Clock::now() + std::chrono::seconds(5));
    EXPECT_FALSE(session.run().ok());
    ::close(ends[1]);
  }
}

TEST(PassPlan, TheAgentRefusesBadOrders) {
  const auto answer = [](const std::vector<std::uint8_t>& bytes) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    EXPECT_GE(::send(ends[0], bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
    ::shutdown(ends[0], SHUT_WR);
    bool taken = false;
    {
      const int agent_end = ends[1];
      ControlChannel channel(agent_end);
      taken = agent::receive_plan(channel).has_value();
    }
    ::close(ends[0]);
    return taken;
  };
  const auto frames = [](auto change) {
    wire::Spec spec = sample_orders().spec;
    change(spec);
    std::vector<std::uint8_t> bytes;
    wire::append_frame(bytes, spec);
    wire::append_frame(bytes, wire::Start{});
    return bytes;
  };
  EXPECT_TRUE(answer(frames([](wire::Spec&) {})));
  EXPECT_FALSE(answer(frames([](wire::Spec& s) { s.units[0].address = 0x7001; })));
  EXPECT_FALSE(answer(frames([](wire::Spec& s) { s.units[0].length = 3; })));
  EXPECT_FALSE(answer(frames([](wire::Spec& s) { s.units[0].address = ~0ULL << 3; })));
  EXPECT_FALSE(answer(frames([](wire::Spec& s) { s.probes[0].units = 2; })));
  EXPECT_FALSE(answer(frames([](wire::Spec& s) { s.probes[0].size = 0; })));
  EXPECT_FALSE(answer(frames([](wire::Spec& s) {
    s.end.kind = wire::MarkKind::probe_hit;
    s.end.probe = 1;
    s.end.ordinal = 1;
  })));
  EXPECT_FALSE(answer(frames([](wire::Spec& s) { s.begin = wire::Mark{}; })));
  std::vector<std::uint8_t> bytes;
  wire::append_frame(bytes, wire::Start{});
  EXPECT_FALSE(answer(bytes)) << "no specification";
  EXPECT_FALSE(answer({}));
  EXPECT_FALSE(answer({0xff, 0xff, 0xff, 0xff, 0xff}));
  auto cut = frames([](wire::Spec&) {});
  for (std::size_t size = 0; size < cut.size(); size += 7) {
    EXPECT_FALSE(answer({cut.begin(), cut.begin() + static_cast<std::ptrdiff_t>(size)}));
  }
}

}  // namespace
}  // namespace culprit::replay
