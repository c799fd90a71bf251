#include "provenance/source_passes.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "binary/test_support.h"
#include "provenance/testing/live_image.h"
#include "provenance/testing/scripted_replay.h"
#include "provenance/window_answers.h"
#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

using binary::testing::ProcessMemory;
using binary::testing::TracedChild;
using testing::kProcess;
using testing::kThread;

/// What a child did, instruction by instruction, up to one store.
struct Steps {
  std::vector<Registers> before;            ///< of each instruction
  std::map<std::size_t, ByteRange> stores;  ///< by instruction
  Registers now;

  [[nodiscard]] const Registers& after(std::size_t i) const {
    return i + 1 < before.size() ? before[i + 1] : now;
  }
};

/// Runs passes over such steps. The end of each pass is their end, where the child stands.
class SteppedReplay : public replay::Replay {
 public:
  SteppedReplay(const Steps& steps, const MemoryReader& memory) : steps_(steps), memory_(memory) {}

  Result<replay::PassResult> run(const replay::PassSpec& spec,
                                 replay::PassObserver& observer) override {
    passes.push_back(spec);
    replay::PassResult result;
    result.end_reached = true;
    std::uint64_t stops = 0;
    std::vector<replay::Hit> hits;
    for (std::size_t p = 0; p < spec.probes.size(); ++p) {
      const auto places = places_of(spec.probes[p]);
      stops += places.size();
      result.raw_hits.push_back(places.size());
      const std::size_t kept = std::min<std::size_t>(places.size(), spec.probes[p].keep_last);
      for (std::size_t k = places.size() - kept; k < places.size(); ++k) {
        replay::Hit hit;
        hit.probe = p;
        hit.ordinal = k + 1;
        hit.position = {kThread, kProcess, 0, places[k] + 1};
        hit.registers =
            is_write(spec.probes[p]) ? steps_.after(places[k]) : steps_.before[places[k]];
        hits.push_back(hit);
      }
    }
    if (spec.stop_budget != 0 && stops > spec.stop_budget) return too_much();
    std::optional<std::size_t> begin;
    if (spec.step) {
      const auto places = places_of(spec.step->begin.probe);
      begin = places.at(spec.step->begin.ordinal - 1) + (is_write(spec.step->begin.probe) ? 1 : 0);
      if (spec.step->budget != 0 && steps_.before.size() - *begin > spec.step->budget)
        return too_much();
    } else if (spec.activation) {
      begin = begin_of(spec);
    }
    std::sort(hits.begin(), hits.end(), [](const replay::Hit& a, const replay::Hit& b) {
      return a.position.sequence < b.position.sequence;
    });
    for (const replay::Hit& hit : hits) (void)observer.on_hit(hit, nullptr);
    if (begin) {
      replay::StepWindow& window = result.window.emplace();
      window.thread = kThread;
      window.steps.assign(steps_.before.begin() + static_cast<std::ptrdiff_t>(*begin),
                          steps_.before.end());
      window.final_registers = steps_.now;
      observer.on_window(window);
    }
    observer.on_end({kThread, kProcess, 0, steps_.before.size() + 1}, steps_.now, Stop(memory_));
    return result;
  }
  std::string engine_name() const override { return "stepped"; }

  std::vector<replay::PassSpec> passes;

 private:
  class Stop : public replay::LiveState {
   public:
    explicit Stop(const MemoryReader& memory) : memory_(memory) {}
    std::size_t read(Address address, std::span<std::byte> out) const override {
      return memory_.read(address, out);
    }
    Result<Registers> registers(ThreadId) const override {
      return Error{ErrorCode::not_found, "not asked for"};
    }
    Result<std::vector<Thread>> threads() const override {
      return std::vector<Thread>{{kThread, kProcess}};
    }
    Result<std::string> maps() const override { return std::string(); }

   private:
    const MemoryReader& memory_;
  };

  static Error too_much() { return Error{ErrorCode::bad_input, "too much"}; }
  static bool is_write(const replay::Probe& probe) {
    return probe.kind == replay::ProbeKind::write;
  }
  /// The steps at which the probe hits.
  std::vector<std::size_t> places_of(const replay::Probe& probe) const {
    std::vector<std::size_t> out;
    if (is_write(probe)) {
      for (const auto& [step, range] : steps_.stores) {
        if (range.overlaps({probe.address, probe.size})) out.push_back(step);
      }
    } else {
      for (std::size_t i = 0; i < steps_.before.size(); ++i) {
        if (steps_.before[i].pc() == probe.address) out.push_back(i);
      }
    }
    return out;
  }
  /// As the agent does it, where no activation has returned.
  std::optional<std::size_t> begin_of(const replay::PassSpec& spec) const {
    std::optional<std::size_t> begin;
    std::optional<std::size_t> innermost;
    for (const replay::ActivationSpec::Entry& entry : spec.activation->entries) {
      std::optional<std::size_t> newest;
      for (const std::size_t i : places_of(spec.probes[entry.probe])) {
        if (steps_.before[i].sp() == entry.sp) newest = i;
      }
      if (!newest || (innermost && *innermost - *newest > spec.activation->outer_steps)) break;
      if (!innermost) innermost = newest;
      begin = newest;
    }
    if (begin && steps_.before.size() - *begin > spec.activation->budget) return std::nullopt;
    return begin;
  }

  const Steps& steps_;
  const MemoryReader& memory_;
};

std::array<char, 16384> from_here;
std::array<char, 16384> to_here;

/// hand_on(to_here, from_here, size) of testdata/copies.c, in a child that has just stored byte
/// `at`.
class Copying : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new binary::testing::TemporaryFolder;
    const std::string library = *folder_ / "copies.so";
    ASSERT_TRUE(binary::testing::run(
        {"gcc", "-shared", "-fPIC", "-O1", "-g", "-o", library,
         std::string(CULPRIT_SOURCE_DIR) + "/src/provenance/testdata/copies.c"}));
    handle_ = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(handle_, nullptr) << dlerror();
  }
  static void TearDownTestSuite() {
    if (handle_ != nullptr) dlclose(handle_);
    delete folder_;
  }

  void copy(long size, long at) {
    ASSERT_NE(handle_, nullptr);
    for (std::size_t i = 0; i < from_here.size(); ++i) from_here[i] = static_cast<char>(i * 7 + 1);
    auto* hand_on = reinterpret_cast<long (*)(char*, const char*, long)>(dlsym(handle_, "hand_on"));
    ASSERT_NE(hand_on, nullptr);
    child_ = std::make_unique<TracedChild>(
        [&] { (void)hand_on(to_here.data(), from_here.data(), size); });
    ASSERT_TRUE(child_->stopped());
    memory_ = std::make_unique<ProcessMemory>(child_->pid());
    slot_ = Address{reinterpret_cast<std::uint64_t>(&to_here[static_cast<std::size_t>(at)])};
    std::map<std::uint64_t, x86::Instruction> known;
    constexpr std::size_t kMost = 200'000;
    for (bool stored = false; !stored && steps_.before.size() < kMost;) {
      const Registers registers = child_->registers();
      auto instruction = known.find(registers.rip);
      if (instruction == known.end()) {
        auto decoded = x86::decode_at(*memory_, registers.pc());
        ASSERT_TRUE(decoded.ok());
        instruction = known.emplace(registers.rip, *std::move(decoded)).first;
      }
      for (const x86::MemOperand& operand : instruction->second.memory) {
        const auto address = x86::effective_address(operand, registers);
        if (!operand.written || !address) continue;
        steps_.stores[steps_.before.size()] = ByteRange{*address, operand.size};
        if (operand.size == 1 && *address == slot_) {
          stored = true;
          store_ = registers.pc();
          base_ = operand.base;
        }
      }
      steps_.before.push_back(registers);
      ASSERT_TRUE(child_->step());
      steps_.now = child_->registers();
    }
    ASSERT_NE(store_, Address{});
    moment_.mark.kind = replay::Mark::Kind::probe_hit;
    moment_.mark.probe.address = slot_;
    moment_.mark.probe.size = 1;
    moment_.mark.ordinal = 1;
    stand_at(image(), {kThread, kProcess, 0, 1}, steps_.now, *memory_, moment_);
    ASSERT_GE(moment_.frames.size(), 3U);
    ASSERT_EQ(moment_.frames[0].code.best_name(), "copy_bytes");
  }

  ProcessImage& image() {
    if (!live_) live_ = std::make_unique<testing::LiveImage>();
    return live_->image();
  }
  ValueQuestion stored() const { return {0, store_, true, ByteRange{slot_, 1}}; }
  std::uint64_t value() const { return memory_->read_as<std::uint8_t>(slot_).value_or(0); }
  Address copied_from() const {
    return Address{slot_.value - reinterpret_cast<std::uint64_t>(to_here.data()) +
                   reinterpret_cast<std::uint64_t>(from_here.data())};
  }
  Result<ResolvedSource> ask(SteppedReplay& replay, WindowLimits limits = {}) {
    return resolve_by_window(replay, image(), moment_, stored(), value(), limits, kDeadline, stats_,
                             answers_);
  }
  static constexpr std::chrono::milliseconds kDeadline{10'000};

  static inline binary::testing::TemporaryFolder* folder_ = nullptr;
  static inline void* handle_ = nullptr;
  std::unique_ptr<TracedChild> child_;
  std::unique_ptr<ProcessMemory> memory_;
  std::unique_ptr<testing::LiveImage> live_;
  Steps steps_;
  Address slot_;
  Address store_;
  std::optional<Gpr> base_;
  Moment moment_;
  report::Stats stats_;
  WindowAnswers answers_;
};

TEST_F(Copying, AShortWindowTakesOnePassForAllThatIsAsked) {
  copy(64, 63);
  ASSERT_FALSE(HasFatalFailure());
  SteppedReplay replay(steps_, *memory_);
  ASSERT_TRUE(base_);
  expect_register_at(moment_, 0, store_, *base_, true, answers_);
  const auto made = ask(replay);
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->source.kind, ValueSource::Kind::memory);
  EXPECT_EQ(made->source.address, copied_from());
  EXPECT_EQ(made->source.size, 1U);
  ASSERT_EQ(replay.passes.size(), 1U);
  EXPECT_EQ(stats_.passes, 1U);
  EXPECT_TRUE(replay.passes[0].activation);

  // The pointer that was expected, the one that the load went through, and the same again: no pass.
  const auto pointer = resolve_register_at(replay, image(), moment_, 0, store_, *base_, true,
                                           kAside, kDeadline, stats_, answers_);
  ASSERT_TRUE(pointer.ok());
  ASSERT_TRUE(pointer->source.value);
  EXPECT_LE(*pointer->source.value, slot_.value);
  EXPECT_GE(*pointer->source.value, reinterpret_cast<std::uint64_t>(to_here.data()));
  const auto load = pointer_of_load(*memory_, made->source.pc);
  ASSERT_TRUE(load);
  ASSERT_TRUE(resolve_register_at(replay, image(), moment_, 0, made->source.pc, *load, false,
                                  kAside, kDeadline, stats_, answers_)
                  .ok());
  ASSERT_TRUE(ask(replay).ok());
  EXPECT_EQ(replay.passes.size(), 1U);

  // Another question takes its own.
  ASSERT_TRUE(resolve_register_at(replay, image(), moment_, 0, store_, Gpr::rsp, true, kAside,
                                  kDeadline, stats_, answers_)
                  .ok());
  EXPECT_GT(replay.passes.size(), 1U);
}

TEST_F(Copying, ALongLoopIsAskedSomeTurnsBefore) {
  copy(12'000, 11'999);
  ASSERT_FALSE(HasFatalFailure());
  SteppedReplay replay(steps_, *memory_);
  const auto made = ask(replay);
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->source.kind, ValueSource::Kind::memory);
  EXPECT_EQ(made->source.address, copied_from());
  // Counting, with too many steps; a short window, too short; writes beside; some turns of the
  // loop.
  ASSERT_EQ(replay.passes.size(), 4U);
  EXPECT_EQ(stats_.passes, 4U);
  ASSERT_TRUE(replay.passes[1].step);
  EXPECT_EQ(replay.passes[1].step->begin.probe.kind, replay::ProbeKind::execute);
  EXPECT_LE(replay.passes[1].step->budget, 30'000U);
  ASSERT_EQ(replay.passes[2].probes.size(), 2U);
  for (const replay::Probe& probe : replay.passes[2].probes) {
    EXPECT_EQ(probe.kind, replay::ProbeKind::write);
    const std::uint64_t distance = probe.address > slot_ ? probe.address.value - slot_.value
                                                         : slot_.value - probe.address.value;
    EXPECT_LE(distance, 520U);
    EXPECT_GE(distance, 500U);
  }
  ASSERT_TRUE(replay.passes[3].step);
  EXPECT_EQ(replay.passes[3].step->begin.probe.kind, replay::ProbeKind::write);
}

}  // namespace
}  // namespace culprit::provenance
