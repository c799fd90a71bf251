// End to end: the reverse engine against the forward one, on a trace with exact ticks.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "replay/replay_fixture.h"
#include "replay/reverse_replay.h"
#include "x86/stores_into.h"

namespace culprit::replay {
namespace {

/// Notes hits, and what memory and registers are at the live ones.
struct LiveNotes : Notes {
  Address slot;
  std::vector<std::uint64_t> live_values;
  std::vector<std::size_t> live_threads;
  std::uint64_t end_value = 0;
  std::optional<StepWindow> window;
  Address block;                    ///< asked for in the heap's book, if one is kept
  std::vector<std::string> blocks;  ///< what it says at live hits and at the end
  void ask(const LiveState& live, const Position& position) {
    const auto book = live.heap_blocks(block);
    if (!book.ok()) return;
    std::string text = book->complete ? "complete" : "incomplete";
    const auto add = [&](const char* name, const HeapCall& call) {
      EXPECT_LT(call.position.sequence, position.sequence);
      text += std::string(" ") + name + std::to_string(call.function) + "#" +
              std::to_string(call.ordinal) + "@" + to_hex(call.registers.pc()) + "/" +
              std::to_string(call.position.syscalls) + "/" + std::to_string(call.stack.size());
    };
    for (const HeapBlock& each : book->holding) {
      text += " [" + to_hex(each.range.start) + "+" + std::to_string(each.range.size);
      add("by", each.allocated);
      if (each.released) add("until", *each.released);
      text += "]";
    }
    if (book->current) add("current", *book->current);
    blocks.push_back(std::move(text));
  }
  Next on_hit(const Hit& hit, const LiveState* live) override {
    if (live != nullptr) {
      live_values.push_back(live->read_u64(slot).value_or(0));
      const auto threads = live->threads();
      live_threads.push_back(threads.ok() ? threads->size() : 0);
      ask(*live, hit.position);
    }
    return Notes::on_hit(hit, live);
  }
  void on_window(const StepWindow& w) override { window = w; }
  void on_end(const Position& at, const Registers& registers, const LiveState& live) override {
    end_value = live.read_u64(slot).value_or(0);
    ask(live, at);
    Notes::on_end(at, registers, live);
  }
};

class ReverseReplayTest : public testing::Test {
 protected:
  void SetUp() override {
    recording_ = record_exactly("exact");
    ASSERT_NE(recording_, nullptr);
    const auto crashes = recording_->index().crash_candidates();
    ASSERT_FALSE(crashes.empty());
    crash_ = crashes.front().mark;
    ReverseOptions options;
    options.trace_dir = recording_->trace;
    options.command.agent = CULPRIT_TEST_AGENT;
    // Not owned: it lives as long as the recording.
    options.index =
        std::shared_ptr<const TraceIndex>(std::shared_ptr<void>(), &recording_->index());
    options.ticks = "exact";
    options.time_share = 1;  // a busy machine must not change what is found
    options.stores = x86::stores_into;
    auto opened = ReverseReplay::open(std::move(options));
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    reverse_ = std::move(*opened);
  }

  Probe write_to(const std::string& name) {
    Probe out;
    out.address = recording_->at(name);
    out.live = true;
    return out;
  }
  Probe entry_of(const std::string& name) {
    Probe out;
    out.kind = ProbeKind::execute;
    out.address = recording_->at(name);
    out.keep_last = 10;
    return out;
  }

  /// Runs the pass on both engines and compares all that they tell.
  void compare(const PassSpec& spec, Address slot, LiveNotes& backward) {
    LiveNotes forward;
    forward.slot = backward.slot = slot;
    forward.block = backward.block;
    const auto there = recording_->replay->run(spec, forward);
    ASSERT_TRUE(there.ok()) << there.error().message;
    const auto back = reverse_->run(spec, backward);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(there->end_reached, back->end_reached);
    EXPECT_EQ(there->matches, back->matches);
    EXPECT_EQ(there->raw_hits, back->raw_hits);
    ASSERT_EQ(forward.hits.size(), backward.hits.size());
    for (std::size_t i = 0; i < forward.hits.size(); ++i) {
      const Hit& a = forward.hits[i];
      const Hit& b = backward.hits[i];
      EXPECT_EQ(a.probe, b.probe) << i;
      EXPECT_EQ(a.ordinal, b.ordinal) << i;
      EXPECT_EQ(a.raw_ordinal, b.raw_ordinal) << i;
      EXPECT_EQ(a.registers.rip, b.registers.rip) << i;
      EXPECT_EQ(a.registers.gpr, b.registers.gpr) << i;
      EXPECT_EQ(a.registers.fs_base, b.registers.fs_base) << i;
      EXPECT_EQ(a.value_after, b.value_after) << i;
      EXPECT_EQ(a.value_before, b.value_before) << i;
      EXPECT_EQ(a.position.thread, b.position.thread) << i;
      EXPECT_EQ(a.position.syscalls, b.position.syscalls) << i;
      EXPECT_EQ(a.live, b.live) << i;
    }
    EXPECT_EQ(forward.live_values, backward.live_values);
    EXPECT_EQ(forward.live_threads, backward.live_threads);
    EXPECT_EQ(forward.blocks, backward.blocks);
    EXPECT_EQ(forward.end_value, backward.end_value);
    EXPECT_EQ(forward.end_registers.rip, backward.end_registers.rip);
    EXPECT_EQ(forward.end_registers.gpr, backward.end_registers.gpr);
    ASSERT_EQ(forward.end.has_value(), backward.end.has_value());
    if (forward.end) {
      EXPECT_EQ(forward.end->syscalls, backward.end->syscalls);
    }
    ASSERT_EQ(forward.window.has_value(), backward.window.has_value());
    if (!forward.window) return;
    EXPECT_EQ(forward.window->truncated, backward.window->truncated);
    ASSERT_EQ(forward.window->steps.size(), backward.window->steps.size());
    for (std::size_t i = 0; i < forward.window->steps.size(); ++i) {
      ASSERT_EQ(forward.window->steps[i].rip, backward.window->steps[i].rip) << i;
      ASSERT_EQ(forward.window->steps[i].gpr, backward.window->steps[i].gpr) << i;
    }
    EXPECT_EQ(forward.window->final_registers.rip, backward.window->final_registers.rip);
  }

  Recording* recording_ = nullptr;
  std::unique_ptr<ReverseReplay> reverse_;
  Mark crash_;
};

TEST_F(ReverseReplayTest, SeesTheSameWritesAndCalls) {
  PassSpec spec;
  spec.deadline = std::chrono::minutes(10);
  spec.probes = {write_to("by_store"), entry_of("store"), write_to("by_rep")};
  spec.end = crash_;
  LiveNotes notes;
  compare(spec, recording_->at("by_store"), notes);
  // The exec and three writes, the exec and two repeats live, three calls kept.
  EXPECT_EQ(notes.hits.size(), 10u);
  EXPECT_EQ(notes.end_value, 0x4444u);
  EXPECT_EQ(reverse_->engine_name(), "exact-ticks/reverse");
}

TEST_F(ReverseReplayTest, SeesAStoreOfWhatWasThereAlready) {
  PassSpec spec;
  spec.deadline = std::chrono::minutes(10);
  spec.probes = {write_to("unchanged")};
  spec.end = crash_;
  LiveNotes notes;
  compare(spec, recording_->at("unchanged"), notes);
  EXPECT_EQ(notes.hits.size(), 2u);  // the exec and the store, not the read
}

TEST_F(ReverseReplayTest, AHitIsAMarkAndTheEndOfAWindow) {
  PassSpec counting;
  counting.deadline = std::chrono::minutes(10);
  counting.probes = {write_to("by_store"), entry_of("store")};
  counting.probes[0].live = false;
  counting.end = crash_;
  LiveNotes counted;
  compare(counting, recording_->at("by_store"), counted);
  ASSERT_EQ(counted.hits.size(), 7u);

  PassSpec window;
  window.deadline = std::chrono::minutes(10);
  window.end.kind = Mark::Kind::probe_hit;
  window.end.probe = counting.probes[0];
  window.end.ordinal = 3;
  window.step = StepSpec{};
  window.step->begin.kind = Mark::Kind::probe_hit;
  window.step->begin.probe = counting.probes[1];
  window.step->begin.ordinal = 2;
  LiveNotes notes;
  compare(window, recording_->at("by_store"), notes);
  ASSERT_TRUE(notes.window.has_value());
  EXPECT_GT(notes.window->steps.size(), 50u);
  EXPECT_EQ(notes.end_value, 0x3333u);
  EXPECT_TRUE(reverse_->remarks().size() == 1) << reverse_->remarks().back();
}

TEST_F(ReverseReplayTest, TheHeapsBookIsTheSameAtEachMoment) {
  const auto code_at = [this](Address address) {
    struct Code : PassObserver {
      Address address;
      std::uint64_t code = 0;
      void on_end(const Position&, const Registers&, const LiveState& live) override {
        code = live.read_u64(address).value_or(0);
      }
    } reader;
    reader.address = address;
    PassSpec spec;
    spec.deadline = std::chrono::minutes(10);
    spec.end = crash_;
    EXPECT_TRUE(recording_->replay->run(spec, reader).ok());
    return reader.code;
  };
  PassSpec spec;
  spec.deadline = std::chrono::minutes(10);
  spec.end = crash_;
  spec.heap.emplace();
  for (const auto& [name, role] :
       {std::pair("take_block", HeapRole::allocate), std::pair("give_block", HeapRole::release)}) {
    const Address entry = recording_->at(name);
    spec.heap->functions.push_back({role, name, entry, code_at(entry)});
  }
  // The blocks' second word: written in the first one's life, behind its release, and in the second
  // one's; and the functions' entries, at which the call itself is not in the book yet.
  LiveNotes notes;
  notes.block = recording_->at("heap");
  Probe word = write_to("heap");
  word.address = word.address + 8;
  Probe taken = entry_of("take_block"), given = entry_of("give_block");
  for (Probe* probe : {&taken, &given}) {
    probe->keep_last = 0;
    probe->live = true;
  }
  spec.probes = {word, taken, given};
  compare(spec, word.address, notes);
  ASSERT_EQ(notes.blocks.size(), 7U);  // not at the exec
  const auto holding = [&](std::string_view text) {
    return std::count_if(notes.blocks.begin(), notes.blocks.end(), [&](const std::string& book) {
      return book.find(text) != std::string::npos;
    });
  };
  EXPECT_EQ(holding("+24 by"), 6);
  EXPECT_EQ(holding("+40 by"), 2);
  EXPECT_EQ(holding("until"), 4);
}

TEST_F(ReverseReplayTest, SystemCallsAreMarks) {
  for (const auto kind : {Mark::Kind::syscall_entry, Mark::Kind::syscall_exit}) {
    PassSpec spec;
    spec.deadline = std::chrono::minutes(10);
    spec.end.kind = kind;
    spec.end.thread = crash_.thread;
    spec.end.ordinal = crash_.ordinal;
    LiveNotes notes;
    compare(spec, recording_->at("by_store"), notes);
  }
}

TEST_F(ReverseReplayTest, AHitThatNoPassHasSeenIsNoMark) {
  PassSpec spec;
  spec.end.kind = Mark::Kind::probe_hit;
  spec.end.probe = write_to("by_store");
  spec.end.ordinal = 1;
  Notes notes;
  const auto result = reverse_->run(spec, notes);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::usage);
}

TEST_F(ReverseReplayTest, ADeadlineEndsThePassAndTheNextStartsAgain) {
  PassSpec spec;
  spec.probes = {write_to("by_store")};
  spec.end = crash_;
  spec.deadline = std::chrono::milliseconds(400);
  Notes notes;
  const auto late = reverse_->run(spec, notes);
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::timeout) << late.error().message;
  spec.deadline = std::chrono::minutes(10);
  const auto again = reverse_->run(spec, notes);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->matches.front(), 4u);
  reverse_.reset();
  EXPECT_TRUE(processes_of(*recording_).empty());
}

TEST(ReverseReplay, RefusesWhatHasNoTicks) {
  Recording* recording = record("fault");
  ASSERT_NE(recording, nullptr);
  const Status suits = ReverseReplay::suits(recording->index());
  ASSERT_FALSE(suits.ok());
  EXPECT_EQ(suits.error().code, ErrorCode::usage);
}

}  // namespace
}  // namespace culprit::replay
