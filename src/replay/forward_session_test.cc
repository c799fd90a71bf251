// The driver against a scripted agent: what it does with a good one, a lying one, and a dying one.
#include "replay/forward_session.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>
#include <optional>
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

TEST(ForwardSession, StoppingAReplayThatIsThroughAlready) {
  // Hits that are not live may be heard of when the agent has long said Done and ended.
  for (const bool done : {true, false}) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    struct Observer : PassObserver {
      std::optional<ControlChannel> agent;
      std::size_t hits = 0;
      Next on_hit(const Hit&, const LiveState*) override {
        ++hits;
        agent.reset();
        return Next::stop_pass;
      }
    } observer;
    observer.agent.emplace(ends[1]);
    observer.agent->send(wire::Hello{wire::kVersion, 1, "test"});
    for (std::uint64_t i = 1; i <= 3; ++i) observer.agent->send(hit_number(i));
    if (done) observer.agent->send(done_with(3));
    observer.agent->flush();
    PassSpec pass;
    pass.probes.resize(1);
    PassOrders orders = sample_orders();
    orders.clones.clear();  // nobody reads: all must fit into the socket
    ForwardSession session(FileDescriptor{ends[0]}, orders, pass, observer,
                           ForwardSession::Clock::now() + std::chrono::seconds{5});
    const auto result = session.run();
    EXPECT_EQ(observer.hits, 1U);
    ASSERT_EQ(result.ok(), done) << result.error().message;
    if (done) {
      EXPECT_TRUE(result->end_reached);
      EXPECT_EQ(result->matches, std::vector<std::uint64_t>{3});
    } else {
      EXPECT_EQ(result.error().code, ErrorCode::replay_failed);
    }
  }
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

// ------------------------------------------------------------------------------------ the heap

/// Asks for the heap's blocks at the end of a pass, whose only stop that is.
struct HeapOutcome {
  Result<PassResult> result = Error{};
  std::optional<Result<HeapBlocks>> blocks;
  std::optional<std::string> maps;  ///< asked for after that
};

HeapOutcome ask_for_heap(const std::function<void(ControlChannel&)>& answer) {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const int agent_end = ends[1];
  std::thread agent([&answer, agent_end] {
    ControlChannel channel(agent_end);
    if (!agent::receive_plan(channel)) return;
    channel.send(wire::EndReached{});
    channel.flush();
    const auto ask = channel.receive();
    const auto question = ask && ask->type == wire::Type::find_heap_blocks
                              ? wire::parse_payload<wire::FindHeapBlocks>(ask->payload)
                              : std::nullopt;
    EXPECT_TRUE(question && question->address == 0x5008);
    answer(channel);
    channel.flush();
    for (;;) {
      const auto next = channel.receive();
      if (!next) return;  // the driver hung up
      if (next->type != wire::Type::read_maps) break;
      channel.send(wire::Text{"the maps"});
      channel.flush();
    }
    channel.send(done_with(0));
    channel.flush();
  });
  HeapOutcome outcome;
  struct Observer : PassObserver {
    HeapOutcome& outcome;
    explicit Observer(HeapOutcome& o) : outcome(o) {}
    void on_end(const Position&, const Registers&, const LiveState& live) override {
      outcome.blocks = live.heap_blocks(Address{0x5008});
      if (auto maps = live.maps(); maps.ok()) outcome.maps = *maps;
    }
  } observer(outcome);
  PassSpec pass;
  pass.probes.resize(1);
  const PassOrders orders = sample_orders();
  {
    ForwardSession session(FileDescriptor{ends[0]}, orders, pass, observer,
                           ForwardSession::Clock::now() + std::chrono::seconds(5));
    outcome.result = session.run();
  }
  agent.join();
  return outcome;
}

wire::HeapCall heap_call(std::uint64_t ordinal) {
  wire::HeapCall call;
  call.position = {11, 10, 9, 8};
  call.ordinal = ordinal;
  call.function = 2;
  call.registers[Gpr::rdi] = 0x5000;
  call.stack = {0x11, 0x22};
  return call;
}

TEST(ForwardSession, TheHeapsBookIsAskedAndAnswered) {
  const HeapOutcome outcome = ask_for_heap([](ControlChannel& channel) {
    wire::HeapBlocks reply;
    reply.holding.push_back({0x5000, 16, heap_call(3), heap_call(4)});
    reply.holding.push_back({0x5008, 0, heap_call(1), std::nullopt});
    reply.above = wire::HeapBlock{0x6000, 32, heap_call(5), std::nullopt};
    reply.stray = {heap_call(7), heap_call(6)};
    reply.current = heap_call(8);
    reply.complete = true;
    channel.send(reply);
  });
  ASSERT_TRUE(outcome.result.ok()) << outcome.result.error().message;
  ASSERT_TRUE(outcome.blocks && outcome.blocks->ok());
  const HeapBlocks& blocks = **outcome.blocks;
  EXPECT_TRUE(blocks.complete);
  ASSERT_EQ(blocks.holding.size(), 2U);
  EXPECT_EQ(blocks.holding[0].range, (ByteRange{Address{0x5000}, 16}));
  EXPECT_EQ(blocks.holding[1].range, (ByteRange{Address{0x5008}, 1})) << "no bytes, but a place";
  EXPECT_FALSE(blocks.holding[1].released);
  const HeapCall& allocated = blocks.holding[0].allocated;
  EXPECT_EQ(allocated.position.thread, ThreadId{11});
  EXPECT_EQ(allocated.position.process, ProcessId{10});
  EXPECT_EQ(allocated.position.syscalls, 9U);
  EXPECT_EQ(allocated.position.sequence, 8U);
  EXPECT_EQ(allocated.ordinal, 3U);
  EXPECT_EQ(allocated.function, 2U);
  EXPECT_EQ(allocated.registers[Gpr::rdi], 0x5000U);
  EXPECT_EQ(allocated.stack, (std::vector<std::byte>{std::byte{0x11}, std::byte{0x22}}));
  ASSERT_TRUE(blocks.holding[0].released);
  EXPECT_EQ(blocks.holding[0].released->ordinal, 4U);
  EXPECT_FALSE(blocks.below);
  ASSERT_TRUE(blocks.above);
  EXPECT_EQ(blocks.above->range, (ByteRange{Address{0x6000}, 32}));
  ASSERT_EQ(blocks.stray.size(), 2U);
  EXPECT_EQ(blocks.stray[0].ordinal, 7U);
  ASSERT_TRUE(blocks.current);
  EXPECT_EQ(blocks.current->ordinal, 8U);
}

TEST(ForwardSession, AHeapThatIsNotKnownIsAnErrorOfTheQuestionOnly) {
  const HeapOutcome outcome =
      ask_for_heap([](ControlChannel& channel) { channel.send(wire::Refused{"no book is kept"}); });
  ASSERT_TRUE(outcome.blocks);
  ASSERT_FALSE(outcome.blocks->ok());
  EXPECT_EQ(outcome.blocks->error().code, ErrorCode::not_found);
  EXPECT_NE(outcome.blocks->error().message.find("no book is kept"), std::string::npos);
  EXPECT_EQ(outcome.maps, "the maps") << "the session goes on";
  EXPECT_TRUE(outcome.result.ok());
}

TEST(ForwardSession, AMalformedAnswerAboutTheHeapEndsTheSession) {
  const auto refused = [](const std::function<void(ControlChannel&)>& answer) {
    const HeapOutcome outcome = ask_for_heap(answer);
    EXPECT_TRUE(outcome.blocks && !outcome.blocks->ok());
    EXPECT_FALSE(outcome.maps);
    return outcome.result.ok() ? ErrorCode::not_found : outcome.result.error().code;
  };
  EXPECT_EQ(refused([](ControlChannel& c) {
              wire::HeapBlocks reply;
              reply.holding.resize(wire::kMaxHeapBlocks + 1);
              c.send(reply);
            }),
            ErrorCode::internal);
  EXPECT_EQ(refused([](ControlChannel& c) {
              wire::HeapBlocks reply;
              reply.current = heap_call(1);
              reply.current->stack.resize(wire::kMaxHeapStack + 1);
              c.send(reply);
            }),
            ErrorCode::internal);
  // An answer to another question.
  EXPECT_EQ(refused([](ControlChannel& c) { c.send(wire::Memory{{1, 2}}); }), ErrorCode::internal);
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
  EXPECT_TRUE(answer(frames([](wire::Spec& s) { s.heap.emplace().functions.resize(2); })));
  EXPECT_FALSE(answer(frames(
      [](wire::Spec& s) { s.heap.emplace().functions.resize(wire::kMaxHeapFunctions + 1); })));
  const auto window = [](wire::Spec& s) {
    s.begin = wire::Mark{};
    s.begin->kind = wire::MarkKind::syscall_entry;
    s.begin->ordinal = 1;
    s.max_steps = 10;
  };
  EXPECT_TRUE(answer(frames(window)));
  EXPECT_FALSE(answer(frames([&](wire::Spec& s) {
    window(s);
    s.heap.emplace();
  }))) << "a window and the heap's book";
  const auto activation = [](wire::Spec& s) {
    s.probes[0].kind = wire::ProbeKind::execute;
    s.probes[0].thread = 10;
    s.activation = wire::ActivationSpec{{{0, 0x7ffe0000}}, 0, 10, 100};
    s.max_steps = 100;
  };
  EXPECT_TRUE(answer(frames(activation)));
  const auto spoilt = [&](auto change) {
    return answer(frames([&](wire::Spec& s) {
      activation(s);
      change(s);
    }));
  };
  EXPECT_FALSE(spoilt([](wire::Spec& s) { s.activation->entries[0].probe = 1; }));
  EXPECT_FALSE(spoilt([](wire::Spec& s) { s.activation->entries.clear(); }));
  EXPECT_FALSE(spoilt([](wire::Spec& s) { s.activation->entries.resize(5); }));
  EXPECT_FALSE(spoilt([](wire::Spec& s) { s.probes[0].thread.reset(); })) << "a window has one";
  EXPECT_FALSE(spoilt([](wire::Spec& s) { s.probes[0].kind = wire::ProbeKind::write; }));
  EXPECT_FALSE(spoilt([](wire::Spec& s) { s.max_steps = 0; }));
  EXPECT_FALSE(spoilt([](wire::Spec& s) { s.heap.emplace(); }));
  EXPECT_FALSE(spoilt([&](wire::Spec& s) { window(s); })) << "two windows";
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
