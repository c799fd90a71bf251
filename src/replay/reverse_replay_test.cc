// The reverse engine against a model of rr's gdb server (gdb_server/testing/fake_rr.h): what it
// finds, and what it makes of a server that misbehaves.
#include "replay/reverse_replay.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <map>
#include <string>
#include <vector>

#include "replay/gdb_server/testing/fake_rr.h"
#include "replay/trace_index_data.h"

namespace culprit::replay {
namespace {

using gdb::Client;
using gdb::FakeExecution;
using gdb::FakeInstruction;
using gdb::FakeRr;
using gdb::Misbehaviour;
using std::chrono::milliseconds;

constexpr Address slot{0x7000}, other{0x7008}, block{0x8000};
constexpr std::uint64_t stack_top = 0x9000;
constexpr Address take{0x2000}, give{0x2100}, caller{0x1100};

/// A frame as `rr dump` prints it.
std::string frame_text(int event, const std::string& what, int thread, int ticks,
                       const std::string& more) {
  return "{\n  real_time:1.0 global_time:" + std::to_string(event) + ", event:" + what +
         " tid:" + std::to_string(thread) + ", ticks:" + std::to_string(ticks) +
         "\nrax:0x0 rbx:0x0 rcx:0x0 rdx:0x0 rsi:0x0 rdi:0x0 rbp:0x0 rsp:0x9000 r8:0x0 r9:0x0 "
         "r10:0x0 r11:0x0 r12:0x0 r13:0x0 r14:0x0 r15:0x0 rip:0x1000 eflags:0x246 cs:0x33 "
         "ss:0x2b ds:0x0 es:0x0 fs:0x0 gs:0x0 orig_rax:0x3b fs_base:0x0 gs_base:0x0\n" +
         more + "}\n";
}

const std::string exec_text =
    frame_text(1, "`SYSCALL: execve' (state:ENTERING_SYSCALL)", 100, 0, "") +
    frame_text(2, "`SYSCALL: execve' (state:EXITING_SYSCALL)", 100, 0,
               "  TraceTaskEvent::EXEC tid=100 file=./program\n"
               "  { map_file:\"./program\", addr:0x1000, length:0x2000, prot_flags:\"r-xp\", "
               "file_offset:0x0, device:1, inode:2, data_file:\"\", data_offset:0x0, "
               "file_size:0x2000 }\n");

std::shared_ptr<const TraceIndex> parse(const std::string& text) {
  TraceIndexParser parser;
  EXPECT_TRUE(parser.feed(text).ok());
  auto index = parser.finish();
  EXPECT_TRUE(index.ok()) << text;
  return std::make_shared<const TraceIndex>(std::move(*index));
}

/// The trace of the execution below: one process with ticks, dead of SIGSEGV.
std::shared_ptr<const TraceIndex> sample_index() {
  return parse(exec_text + frame_text(3, "`SIGNAL: SIGSEGV(det)'", 100, 6, "") +
               frame_text(4, "`EXIT'", 100, 6, "  TraceTaskEvent::EXIT tid=100 status=11\n"));
}

/// Stores 0x11, 0x22 and 0x22 again into the slot, reads it, makes a block and gives it back, and
/// faults. No two neighbours differ in their ticks where `take` and `give` are entered and left.
FakeExecution sample_execution() {
  FakeExecution out;
  out.memory = {
      {slot.value, 0}, {other.value, 0}, {block.value, 0}, {stack_top - 8, 0x1100}, {stack_top, 0}};
  const auto add = [&](std::uint64_t rip, std::uint64_t ticks) -> FakeInstruction& {
    FakeInstruction i;
    i.rip = rip;
    i.ticks = ticks;
    i.event = 3;
    i.gpr[4] = stack_top;
    i.gpr[0] = 0x40 + out.instructions.size();
    out.instructions.push_back(i);
    return out.instructions.back();
  };
  const auto store = [&](std::uint64_t rip, std::uint64_t ticks, Address to, std::uint64_t value) {
    add(rip, ticks).access = FakeInstruction::Access{to.value, value};
  };
  add(0x1000, 0);
  store(0x1010, 1, slot, 0x11);
  store(0x1020, 1, other, 0x77);
  store(0x1030, 2, slot, 0x22);
  add(0x1040, 3).access = FakeInstruction::Access{slot.value, std::nullopt};
  store(0x1050, 3, slot, 0x22);
  // take(24), within one tick; the call pushes its return address.
  store(0x10f8, 4, Address{stack_top - 8}, caller.value);
  FakeInstruction& entry = add(take.value, 4);
  entry.gpr[4] = stack_top - 8;
  entry.gpr[7] = 24;
  add(caller.value, 4).gpr[0] = block.value;
  store(0x1108, 4, block, 0x66);
  // give(block): the release is before the next store, both in tick 5.
  store(0x1110, 5, block, 0x67);
  store(0x1118, 5, Address{stack_top - 8}, 0x1120);
  FakeInstruction& release = add(give.value, 5);
  release.gpr[4] = stack_top - 8;
  release.gpr[7] = block.value;
  store(0x1120, 5, block, 0x68);
  add(0x1130, 6).signal = SIGSEGV;
  FakeInstruction& end = add(0x1130, 6);
  end.gpr = out.instructions[out.instructions.size() - 2].gpr;
  end.event = 4;
  return out;
}

struct Notes : PassObserver {
  std::vector<Hit> hits;
  std::vector<std::uint64_t> slots;    ///< the slot at live hits
  std::vector<std::string> books;      ///< what is said of the block at live hits and at the end
  std::vector<std::uint64_t> ordered;  ///< sequences, of calls and of moments
  std::optional<Registers> end;
  std::optional<StepWindow> window;
  Next answer = Next::go_on;

  void ask(const LiveState& live, const Position& position) {
    const auto blocks = live.heap_blocks(block);
    if (!blocks.ok()) {
      books.emplace_back("none");
    } else if (blocks->holding.empty()) {
      books.emplace_back("unknown");
    } else {
      const HeapBlock& first = blocks->holding.front();
      books.push_back(std::to_string(first.range.size) + (first.released ? " freed" : " living"));
      EXPECT_LT(first.allocated.position.sequence, position.sequence);
      if (first.released) {
        EXPECT_LT(first.released->position.sequence, position.sequence);
      }
      EXPECT_TRUE(blocks->complete);
    }
  }
  Next on_hit(const Hit& hit, const LiveState* live) override {
    hits.push_back(hit);
    if (live != nullptr) {
      slots.push_back(live->read_u64(slot).value_or(0));
      ask(*live, hit.position);
    }
    return answer;
  }
  void on_window(const StepWindow& w) override { window = w; }
  void on_end(const Position& at, const Registers& registers, const LiveState& live) override {
    end = registers;
    ask(live, at);
  }
};

class ReverseReplayModel : public testing::Test {
 protected:
  void SetUp() override { replay_ = open({}); }

  std::unique_ptr<ReverseReplay> open(Misbehaviour first) {
    ReverseOptions options;
    options.trace_dir = "/";
    options.index = index_;
    options.stores = [](std::span<const std::byte> code, const Registers&, ByteRange) {
      return !code.empty() && code.front() == std::byte{0x01};
    };
    options.connect = [this, first, connections = 0](ProcessId, milliseconds) mutable {
      servers_.push_back(std::make_unique<FakeRr>(sample_execution(),
                                                  connections++ == 0 ? first : Misbehaviour{}));
      return servers_.back()->connect();
    };
    auto out = ReverseReplay::open(std::move(options));
    EXPECT_TRUE(out.ok());
    return out.ok() ? std::move(*out) : nullptr;
  }

  PassSpec pass(std::vector<Probe> probes) {
    PassSpec out;
    out.probes = std::move(probes);
    out.end.kind = Mark::Kind::signal_stop;
    out.end.thread = ThreadId{100};
    out.end.signal = SIGSEGV;
    // execve was made by rr itself, before the program was there.
    out.end.ordinal = index_->syscalls_until(ThreadId{100}, EventNumber{3});
    return out;
  }
  static Probe write_to(Address address) {
    Probe out;
    out.address = address;
    out.live = true;
    return out;
  }
  static Probe execution_of(Address address) {
    Probe out;
    out.kind = ProbeKind::execute;
    out.address = address;
    out.live = true;
    return out;
  }
  static HeapSpec heap() {
    HeapSpec out;
    const std::uint64_t code = 0x0202020202020202;
    out.functions = {{HeapRole::allocate, "take", take, code},
                     {HeapRole::release, "give", give, code}};
    return out;
  }

  std::shared_ptr<const TraceIndex> index_ = sample_index();
  std::vector<std::unique_ptr<FakeRr>> servers_;
  std::unique_ptr<ReverseReplay> replay_;
};

TEST_F(ReverseReplayModel, FindsEachStoreAlsoOfTheSameValue) {
  Notes notes;
  const auto result = replay_->run(pass({write_to(slot)}), notes);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_TRUE(result->end_reached);
  // The exec that mapped it, then 0x11, 0x22 and 0x22 again; not the read.
  ASSERT_EQ(notes.hits.size(), 4U);
  EXPECT_TRUE(notes.hits[0].kernel.has_value());
  EXPECT_EQ(notes.hits[1].value_after, 0x11U);
  EXPECT_EQ(notes.hits[1].registers.rip, 0x1020U) << "behind the store";
  EXPECT_EQ(notes.hits[2].value_before, 0x11U);
  EXPECT_EQ(notes.hits[2].value_after, 0x22U);
  EXPECT_EQ(notes.hits[3].value_before, 0x22U);
  EXPECT_EQ(notes.hits[3].registers.rip, 0x10f8U);
  EXPECT_EQ(notes.slots, (std::vector<std::uint64_t>{0, 0x11, 0x22, 0x22}));
  ASSERT_TRUE(notes.end.has_value());
  EXPECT_EQ(notes.end->rip, 0x1130U);
  EXPECT_EQ(notes.books.back(), "none") << "no pass asked for the heap's book";
  EXPECT_EQ(servers_.back()->finish(), "");
}

TEST_F(ReverseReplayModel, FiltersCountAndKeptHitsAreTheNewest) {
  Probe filtered = write_to(slot);
  filtered.filter = ValueFilter{0x22};
  filtered.live = false;
  filtered.keep_last = 1;
  Notes notes;
  const auto result = replay_->run(pass({filtered}), notes);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->matches.front(), 2U);
  EXPECT_EQ(result->raw_hits.front(), 4U);
  ASSERT_EQ(notes.hits.size(), 1U);
  EXPECT_EQ(notes.hits[0].ordinal, 2U);
  EXPECT_FALSE(notes.hits[0].live);
}

TEST_F(ReverseReplayModel, AHitIsTheEndOfAWindow) {
  Notes notes;
  PassSpec first = pass({write_to(slot), execution_of(Address{0x1020})});
  ASSERT_TRUE(replay_->run(first, notes).ok());
  PassSpec window = pass({});
  window.end.kind = Mark::Kind::probe_hit;
  window.end.probe = first.probes[0];
  window.end.ordinal = 3;
  window.step = StepSpec{};
  window.step->begin.kind = Mark::Kind::probe_hit;
  window.step->begin.probe = first.probes[1];
  window.step->begin.ordinal = 1;
  Notes seen;
  const auto result = replay_->run(window, seen);
  ASSERT_TRUE(result.ok()) << result.error().message;
  ASSERT_TRUE(seen.window.has_value());
  ASSERT_EQ(seen.window->steps.size(), 2U) << "with the store itself";
  EXPECT_EQ(seen.window->steps[0].rip, 0x1020U);
  EXPECT_EQ(seen.window->steps[1].rip, 0x1030U);
  EXPECT_EQ(seen.window->final_registers.rip, 0x1040U);
  EXPECT_EQ(servers_.back()->finish(), "");
}

TEST_F(ReverseReplayModel, AFaultingInstructionIsTheWindowsLastOnce) {
  Notes notes;
  PassSpec first = pass({execution_of(Address{0x1120})});
  ASSERT_TRUE(replay_->run(first, notes).ok());
  PassSpec window = pass({});
  window.step = StepSpec{};
  window.step->begin.kind = Mark::Kind::probe_hit;
  window.step->begin.probe = first.probes[0];
  window.step->begin.ordinal = 1;
  Notes seen;
  const auto result = replay_->run(window, seen);
  ASSERT_TRUE(result.ok()) << result.error().message;
  ASSERT_TRUE(seen.window.has_value());
  ASSERT_EQ(seen.window->steps.size(), 2U);
  EXPECT_EQ(seen.window->steps[1].rip, 0x1130U);
}

TEST_F(ReverseReplayModel, TheHeapsBookIsThatOfEachMoment) {
  // The block's word is written by the start, in its life, before and behind the release; the
  // entries of both functions are moments, too. All but the first share their tick with a call.
  PassSpec spec = pass({write_to(block), execution_of(take), execution_of(give)});
  spec.heap = heap();
  Notes notes;
  const auto result = replay_->run(spec, notes);
  ASSERT_TRUE(result.ok()) << result.error().message;
  ASSERT_EQ(notes.hits.size(), 6U);
  EXPECT_EQ(notes.books, (std::vector<std::string>{"none", "unknown", "24 living", "24 living",
                                                   "24 living", "24 freed", "24 freed"}));
  EXPECT_EQ(servers_.back()->finish(), "");
  EXPECT_EQ(replay_->remarks().size(), 1U);
}

TEST_F(ReverseReplayModel, AJournalOfTooManyCallsIsGivenUpAndSaid) {
  PassSpec spec = pass({});
  spec.heap = heap();
  spec.heap->max_calls = 1;
  struct Incomplete : PassObserver {
    bool complete = true;
    void on_end(const Position&, const Registers&, const LiveState& live) override {
      const auto blocks = live.heap_blocks(block);
      if (blocks.ok()) complete = blocks->complete;
    }
  } observer;
  const auto result = replay_->run(spec, observer);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_FALSE(observer.complete);
  EXPECT_EQ(replay_->remarks().size(), 2U);
}

TEST_F(ReverseReplayModel, ConditionsAreTheServers) {
  FakeRr server(sample_execution());
  auto client = server.connect();
  ASSERT_TRUE(client.ok());
  const gdb::StopPoint point{gdb::StopPointKind::software_breakpoint, Address{0x1040}, 1};
  ASSERT_TRUE((*client)->set(point, gdb::equals_condition(slot, 0x33)).ok());
  auto stop = (*client)->resume(gdb::Direction::forward, milliseconds(5000));
  ASSERT_TRUE(stop.ok());
  EXPECT_EQ(stop->signal, SIGSEGV) << "the condition never holds";
  ASSERT_TRUE((*client)->set(point, gdb::equals_condition(slot, 0x22)).ok());
  stop = (*client)->resume(gdb::Direction::backward, milliseconds(5000));
  ASSERT_TRUE(stop.ok());
  EXPECT_TRUE(stop->breakpoint);
  EXPECT_EQ((*client)->registers()->rip, 0x1040U);
  EXPECT_EQ(server.finish(), "");
}

/// A server that fails at any of its answers ends the pass with an error, in time, and the next
/// pass begins with a new connection and finds all.
TEST_F(ReverseReplayModel, AServerThatMisbehavesEndsThePassAndNotTheEngine) {
  PassSpec spec = pass({write_to(slot), write_to(block)});
  spec.heap = heap();
  Notes good;
  ASSERT_TRUE(replay_->run(spec, good).ok());
  const std::size_t answers = servers_.back()->answers();
  ASSERT_GT(answers, 60U);
  using Kind = Misbehaviour::Kind;
  for (const Kind kind :
       {Kind::closes, Kind::truncated, Kind::garbage, Kind::error, Kind::empty, Kind::silent}) {
    // Silence costs its deadline each time.
    const std::size_t stride = kind == Kind::silent ? 37 : kind == Kind::closes ? 5 : 11;
    for (std::size_t at = 0; at < answers; at += stride) {
      SCOPED_TRACE("kind " + std::to_string(static_cast<int>(kind)) + " at " + std::to_string(at));
      const auto replay = open({kind, at});
      ASSERT_NE(replay, nullptr);
      spec.deadline = kind == Kind::silent ? milliseconds(150) : milliseconds(20'000);
      Notes notes;
      const auto started = std::chrono::steady_clock::now();
      const auto failed = replay->run(spec, notes);
      const auto took = std::chrono::steady_clock::now() - started;
      if (kind == Kind::closes || kind == Kind::truncated) {
        ASSERT_FALSE(failed.ok());
        EXPECT_EQ(failed.error().code, ErrorCode::replay_failed);
      }
      if (kind == Kind::silent && at >= 5) {  // before: the greeting, which connect() answers for
        ASSERT_FALSE(failed.ok());
        EXPECT_EQ(failed.error().code, ErrorCode::timeout);
        EXPECT_LT(took, std::chrono::seconds(10));
      }
      if (!failed.ok() || at % 29 == 0) {
        spec.deadline = milliseconds(20'000);
        Notes again;
        const auto result = replay->run(spec, again);
        if (kind == Kind::closes || kind == Kind::truncated || kind == Kind::silent) {
          ASSERT_TRUE(result.ok()) << result.error().message;
          EXPECT_EQ(again.slots, good.slots);
        }
      }
      servers_.clear();
      if (testing::Test::HasFailure()) return;
    }
  }
}

/// Process 100 stores 0x11, forks 101, which stores 0x33 and 0x44 into its own copy and ends,
/// stores 0x22 and dies.
std::shared_ptr<const TraceIndex> forking_index() {
  const std::string enter = "' (state:ENTERING_SYSCALL)", leave = "' (state:EXITING_SYSCALL)";
  return parse(exec_text +
               frame_text(3, "`SYSCALL: clone" + enter, 100, 1,
                          "  TraceTaskEvent::CLONE tid=101 parent=100 clone_flags=0x1200011\n") +
               frame_text(4, "`SYSCALL: getppid" + enter, 101, 1, "") +
               frame_text(5, "`SYSCALL: getppid" + leave, 101, 1, "") +
               frame_text(6, "`EXIT'", 101, 2, "  TraceTaskEvent::EXIT tid=101 status=0\n") +
               frame_text(7, "`SYSCALL: clone" + leave, 100, 1, "") +
               frame_text(8, "`SIGNAL: SIGSEGV(det)'", 100, 3, "") +
               frame_text(9, "`EXIT'", 100, 3, "  TraceTaskEvent::EXIT tid=100 status=11\n"));
}

FakeExecution execution_of_process(ProcessId process) {
  FakeExecution out;
  out.memory = {{slot.value, process.value == 100 ? 0U : 0x11U}};
  out.thread = process.value == 100 ? "p64.64" : "p65.65";
  const auto add = [&](std::uint64_t rip, std::int64_t event, std::uint64_t ticks) -> auto& {
    FakeInstruction i;
    i.rip = rip;
    i.event = event;
    i.ticks = ticks;
    i.gpr[4] = stack_top;
    i.gpr[0] = 0x40 + out.instructions.size();
    out.instructions.push_back(i);
    return out.instructions.back();
  };
  const auto store = [&](std::uint64_t rip, std::int64_t event, std::uint64_t ticks,
                         std::uint64_t value) {
    add(rip, event, ticks).access = FakeInstruction::Access{slot.value, value};
  };
  if (process.value == 100) {
    add(0x1000, 3, 0);
    store(0x1010, 3, 0, 0x11);
    add(0x1020, 3, 1);
    add(0x1028, 8, 1);
    store(0x1030, 8, 2, 0x22);
    add(0x1040, 8, 3).signal = SIGSEGV;
    FakeInstruction& end = add(0x1040, 9, 3);
    end.gpr = out.instructions[out.instructions.size() - 2].gpr;
    return out;
  }
  add(0x1028, 4, 0);
  store(0x1050, 4, 0, 0x33);
  add(0x1060, 4, 1);
  add(0x1068, 6, 1);
  store(0x1070, 6, 1, 0x44);
  add(0x1080, 6, 2);
  add(0x1080, 7, 2);  // about to exit
  add(0x1080, 7, 2);
  return out;
}

class ReverseReplayOfTwoProcesses : public testing::Test {
 protected:
  void SetUp() override {
    ReverseOptions options;
    options.trace_dir = "/";
    options.index = index_;
    options.stores = [](std::span<const std::byte> code, const Registers&, ByteRange) {
      return !code.empty() && code.front() == std::byte{0x01};
    };
    options.connect = [this](ProcessId process, milliseconds) {
      auto& server = servers_[process];
      EXPECT_EQ(server, nullptr) << "one server for each process";
      server = std::make_unique<FakeRr>(execution_of_process(process));
      return server->connect();
    };
    auto opened = ReverseReplay::open(std::move(options));
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    replay_ = std::move(*opened);
  }
  static Probe write_in(std::int32_t process) {
    Probe out;
    out.address = slot;
    out.live = true;
    out.process = ProcessId{process};
    return out;
  }
  PassSpec pass(std::vector<Probe> probes) const {
    PassSpec out;
    out.probes = std::move(probes);
    out.end.kind = Mark::Kind::signal_stop;
    out.end.thread = ThreadId{100};
    out.end.signal = SIGSEGV;
    out.end.ordinal = index_->syscalls_until(ThreadId{100}, EventNumber{8});
    return out;
  }
  static std::vector<std::int32_t> processes(const Notes& notes) {
    std::vector<std::int32_t> out;
    for (const Hit& hit : notes.hits) out.push_back(hit.position.process.value);
    return out;
  }

  std::shared_ptr<const TraceIndex> index_ = forking_index();
  std::map<ProcessId, std::unique_ptr<FakeRr>> servers_;
  std::unique_ptr<ReverseReplay> replay_;
};

TEST_F(ReverseReplayOfTwoProcesses, AServerEachAndTheHitsInOrder) {
  Notes notes;
  const auto result = replay_->run(pass({write_in(100), write_in(101)}), notes);
  ASSERT_TRUE(result.ok()) << result.error().message;
  // The exec is the first hit of 100; a fork is none.
  EXPECT_EQ(notes.slots, (std::vector<std::uint64_t>{0, 0x11, 0x33, 0x44, 0x22}));
  EXPECT_EQ(processes(notes), (std::vector<std::int32_t>{100, 100, 101, 101, 100}));
  for (std::size_t i = 1; i < notes.hits.size(); ++i) {
    EXPECT_GT(notes.hits[i].position.sequence, notes.hits[i - 1].position.sequence);
  }
  EXPECT_EQ(result->matches, (std::vector<std::uint64_t>{3, 2}));
  ASSERT_TRUE(notes.end.has_value());
  EXPECT_EQ(notes.end->rip, 0x1040U);
  for (auto& [process, server] : servers_) EXPECT_EQ(server->finish(), "") << process.value;
}

TEST_F(ReverseReplayOfTwoProcesses, AMomentOfOneEndsTheSearchInTheOther) {
  Notes all;
  ASSERT_TRUE(replay_->run(pass({write_in(101)}), all).ok());
  ASSERT_EQ(all.hits.size(), 2U);
  EXPECT_EQ(servers_.size(), 2U) << "the end is in 100";
  PassSpec spec = pass({write_in(100), write_in(101)});
  spec.end.kind = Mark::Kind::probe_hit;
  spec.end.probe = write_in(101);
  spec.end.ordinal = 1;
  Notes notes;
  const auto result = replay_->run(spec, notes);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(notes.slots, (std::vector<std::uint64_t>{0, 0x11, 0x33})) << "0x22 comes later";
  ASSERT_TRUE(notes.end.has_value());
  EXPECT_EQ(notes.end->rip, 0x1060U) << "behind the store of 101";
}

TEST_F(ReverseReplayOfTwoProcesses, OnlyTheServersThatAreNeeded) {
  Notes notes;
  ASSERT_TRUE(replay_->run(pass({write_in(100)}), notes).ok());
  EXPECT_EQ(servers_.size(), 1U);
  EXPECT_EQ(notes.slots, (std::vector<std::uint64_t>{0, 0x11, 0x22}));
}

TEST_F(ReverseReplayOfTwoProcesses, RefusesWhatOneServerCannotAnswer) {
  Probe of_all = write_in(100);
  of_all.process.reset();
  Notes notes;
  auto result = replay_->run(pass({of_all}), notes);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::bad_input);
  ASSERT_TRUE(replay_->run(pass({write_in(101)}), notes).ok());
  PassSpec window = pass({});
  window.step = StepSpec{};
  window.step->begin.kind = Mark::Kind::probe_hit;
  window.step->begin.probe = write_in(101);
  window.step->begin.ordinal = 1;
  result = replay_->run(window, notes);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::bad_input);
  EXPECT_TRUE(replay_->run(pass({write_in(100)}), notes).ok()) << "the engine goes on";
}

}  // namespace
}  // namespace culprit::replay
