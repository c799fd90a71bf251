#include "provenance/engine.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "provenance/testing/scripted_replay.h"

namespace culprit::provenance {
namespace {

using std::chrono::milliseconds;
using testing::Event;
using testing::ScriptedReplay;

constexpr Address kSlot{0x7f1f'0000'1000};
constexpr std::uint64_t kBad = 0xdead'beef'0000;

/// A program that fails; what it did is written down elsewhere.
replay::TraceIndex failing_program() {
  const auto text = read_file(
      std::string(CULPRIT_SOURCE_DIR) + "/src/replay/testdata/dump-c-fork-signals.txt", 1 << 20);
  replay::TraceIndexParser parser;
  EXPECT_TRUE(text.ok() && parser.feed(text.value_or("")).ok());
  auto out = parser.finish();
  EXPECT_TRUE(out.ok());
  return std::move(*out);
}

/// Takes its time for each pass. The failure is the end of the events.
class SlowReplay : public replay::Replay {
 public:
  SlowReplay(std::vector<Event> events, milliseconds each) : each_(each) {
    const std::array<std::byte, 4096> page{};
    script_.load(Address{kSlot.value & ~std::uint64_t{4095}}, page);
    script_.events = std::move(events);
  }
  Result<replay::PassResult> run(const replay::PassSpec& spec,
                                 replay::PassObserver& observer) override {
    deadlines.push_back(spec.deadline);
    std::this_thread::sleep_for(each_);
    replay::PassSpec whole = spec;
    if (whole.end.kind != replay::Mark::Kind::probe_hit) whole.end = {};
    return script_.run(whole, observer);
  }
  std::string engine_name() const override { return "slow"; }

  std::vector<milliseconds> deadlines;  ///< of the passes

 private:
  ScriptedReplay script_;
  milliseconds each_;
};

/// The slot is given the bad value, and somebody fails.
std::vector<Event> one_store(const replay::CrashCandidate& failure) {
  Event event;
  event.address = kSlot;
  event.value = kBad;
  event.registers.rip = 0x401003;
  event.thread = failure.thread;
  event.process = failure.process;
  return {event};
}

TriageOptions about_the_slot() {
  TriageOptions options;
  options.overrides.address = kSlot;
  options.timeout = milliseconds{50};
  return options;
}

constexpr milliseconds kPass{100};

TEST(Timeout, GrowsWithTheTimeOfTheFirstPass) {
  const replay::TraceIndex index = failing_program();
  ASSERT_FALSE(index.crash_candidates().empty());
  SlowReplay slow(one_store(index.crash_candidates().front()), kPass);
  TriageOptions options = about_the_slot();
  options.timeout_grows = true;
  const auto report = follow_chain(slow, index, options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_GE(slow.deadlines.size(), 2U);
  EXPECT_GE(slow.deadlines[0], std::chrono::minutes{10})
      << "nobody knows yet how long a pass takes";
  EXPECT_GE(slow.deadlines[1], 50 * kPass) << "60 passes, less what has gone by";
  EXPECT_LE(slow.deadlines[1], 10 * 60 * kPass) << "and not the first one's";
  EXPECT_NE(report->verdict.stopped_because, report::StopReason::timeout);
}

TEST(Timeout, ThatTheUserChoseDoesNotGrow) {
  const replay::TraceIndex index = failing_program();
  ASSERT_FALSE(index.crash_candidates().empty());
  SlowReplay slow(one_store(index.crash_candidates().front()), kPass);
  const auto report = follow_chain(slow, index, about_the_slot());
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(slow.deadlines.size(), 1U);
  EXPECT_LE(slow.deadlines[0], milliseconds{50});
  EXPECT_EQ(report->verdict.stopped_because, report::StopReason::timeout);
}

TEST(Timeout, IsNeverLessThanWhatIsUsual) {
  const replay::TraceIndex index = failing_program();
  ASSERT_FALSE(index.crash_candidates().empty());
  SlowReplay fast(one_store(index.crash_candidates().front()), milliseconds{0});
  TriageOptions options = about_the_slot();
  options.timeout = std::chrono::minutes{2};
  options.timeout_grows = true;
  const auto report = follow_chain(fast, index, options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_GE(fast.deadlines.size(), 2U);
  EXPECT_GE(fast.deadlines[1], std::chrono::minutes{1});
  EXPECT_LE(fast.deadlines[1], std::chrono::minutes{2});
}

}  // namespace
}  // namespace culprit::provenance
