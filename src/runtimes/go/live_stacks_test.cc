// The walk over real stacks: a Go program that stopped in C, and in Go that C called.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <string>
#include <vector>

#include "binary/symbolizer.h"
#include "binary/test_support.h"
#include "binary/unwinder.h"
#include "runtimes/go/go_program.h"
#include "runtimes/go/go_runtime.h"
#include "runtimes/go/stack_walk.h"

namespace culprit::runtimes::go {
namespace {

using binary::testing::ProcessMemory;
using binary::testing::read_maps;
using binary::testing::TracedChild;

struct Walked {
  std::string function;
  StackLabel stack;
};

std::string to_text(const std::vector<Walked>& frames) {
  std::string text;
  for (const Walked& f : frames) text += f.function + " [" + f.stack.name + "]\n";
  return text;
}

// The walk as the engine makes it.
std::vector<Walked> walk(const GoRuntime& runtime, const binary::ModuleMap& map, ThreadId thread,
                         const Registers& registers, const MemoryReader& memory) {
  const binary::Symbolizer symbols(map);
  const binary::Unwinder unwinder(map);
  const auto stack_walk = runtime.walk(thread, registers, memory);
  std::vector<Walked> out;
  binary::Frame frame = binary::Unwinder::start(registers);
  while (out.size() < 200) {
    const auto code = symbols.locate(frame.pc, frame.pc_kind);
    const auto step = unwinder.step(frame, memory);
    out.push_back(
        {std::string(plain_go_name(code.symbol_linkage)), stack_walk->label(step.callee)});
    auto next = stack_walk->cross(code.symbol_linkage, step);
    if (!next) {
      if (stack_walk->is_outermost(code.symbol_linkage)) break;
      next = step.caller;
    }
    if (!next) break;
    frame = *next;
  }
  return out;
}

// Where the frames of these functions are, in this order; those in between do not matter.
void expect_in_order(const std::vector<Walked>& frames,
                     const std::vector<std::pair<std::string, StackKind>>& expected) {
  std::size_t at = 0;
  for (const auto& [function, kind] : expected) {
    while (at < frames.size() && frames[at].function != function) ++at;
    ASSERT_LT(at, frames.size()) << "no " << function << " in\n" << to_text(frames);
    EXPECT_EQ(frames[at].stack.kind, kind) << function << " in\n" << to_text(frames);
    ++at;
  }
  EXPECT_EQ(at, frames.size()) << "frames above the last in\n" << to_text(frames);
}

class GoLiveStacks : public testing::GoProgramTest {
 protected:
  // Runs the program until its breakpoint.
  void stop(const std::string& mode, const std::string& c_level = "-O2") {
    const auto program = testing::build_program(GetParam(), {}, c_level);
    ASSERT_TRUE(program.has_value());
    child_.emplace(std::vector<std::string>{*program, mode});
    ASSERT_TRUE(child_->stopped());
    ASSERT_TRUE(child_->run_until(SIGTRAP));
    live_map_.emplace(read_maps(child_->pid()), cache_);
    memory_.emplace(child_->pid());
    EXPECT_TRUE(live_map_->verify(*memory_).empty());
    std::string problem;
    const auto layout = find_layout(*live_map_, problem);
    ASSERT_TRUE(layout.has_value()) << problem;
    runtime_.emplace(*layout, *live_map_);
    thread_ = ThreadId{child_->pid()};
  }

  void check_callbacks();

  std::optional<TracedChild> child_;
  std::optional<binary::ModuleMap> live_map_;
  std::optional<ProcessMemory> memory_;
  std::optional<GoRuntime> runtime_;
  ThreadId thread_;
};

constexpr auto kGo = StackKind::goroutine;
constexpr auto kSystem = StackKind::system;

TEST_P(GoLiveStacks, GoThatCalledC) {
  stop("c");
  if (HasFatalFailure()) return;
  const auto frames = walk(*runtime_, *live_map_, thread_, child_->registers(), *memory_);
  expect_in_order(frames, {{"runtime.asmcgocall", kSystem},
                           {"runtime.systemstack_switch", kGo},
                           {"runtime.cgocall", kGo},
                           {"main._Cfunc_stopInC", kGo},
                           {"main.plain", kGo},
                           {"main.main", kGo},
                           {"runtime.main", kGo},
                           {"runtime.goexit", kGo}});
}

TEST_P(GoLiveStacks, GoThatCalledCThatCalledGoTwice) {
  // Without optimisation the C frames are found by rbp alone, with it by rsp.
  for (const char* c_level : {"-O0", "-O2"}) {
    SCOPED_TRACE(c_level);
    stop("callback", c_level);
    if (HasFatalFailure()) return;
    check_callbacks();
  }
}

void GoLiveStacks::check_callbacks() {
  const auto frames = walk(*runtime_, *live_map_, thread_, child_->registers(), *memory_);
  expect_in_order(frames, {{"main.stop", kGo},
                           {"runtime.cgocallbackg", kGo},
                           {"runtime.cgocallback", kGo},
                           {"crosscall2", kSystem},
                           {"goStop", kSystem},
                           {"runtime.asmcgocall", kSystem},
                           {"runtime.systemstack_switch", kGo},
                           {"runtime.cgocall", kGo},
                           {"main._Cfunc_innerC", kGo},
                           {"main.inner", kGo},
                           {"runtime.cgocallback", kGo},
                           {"crosscall2", kSystem},
                           {"goInner", kSystem},
                           {"runtime.asmcgocall", kSystem},
                           {"runtime.systemstack_switch", kGo},
                           {"runtime.cgocall", kGo},
                           {"main._Cfunc_outerC", kGo},
                           {"main.outer", kGo},
                           {"main.main", kGo},
                           {"runtime.main", kGo},
                           {"runtime.goexit", kGo}});
  // Each crossing gives the frames of one side once.
  EXPECT_EQ(std::count_if(frames.begin(), frames.end(),
                          [](const Walked& f) { return f.function == "crosscall2"; }),
            2)
      << to_text(frames);
}

TEST_P(GoLiveStacks, AnotherThreadsWalkKnowsNoGoroutine) {
  stop("c");
  if (HasFatalFailure()) return;
  // No m has this id; the kernel's ids are smaller.
  const auto frames =
      walk(*runtime_, *live_map_, ThreadId{0x7fffffff}, child_->registers(), *memory_);
  ASSERT_FALSE(frames.empty());
  for (const Walked& f : frames) EXPECT_EQ(f.stack.kind, StackKind::native) << f.function;
}

TEST_P(GoLiveStacks, PlacesAreNamed) {
  stop("callback");
  if (HasFatalFailure()) return;
  const auto on_stack = runtime_->describe(child_->registers().sp(), *memory_);
  ASSERT_TRUE(on_stack.has_value());
  EXPECT_EQ(on_stack->role, RuntimePlace::Role::goroutine_stack);
  EXPECT_EQ(on_stack->name, "goroutine 1's stack");
  EXPECT_EQ(
      runtime_->describe_value(on_stack->object.start.value, *memory_),
      "the base of goroutine 1's stack (" + std::to_string(on_stack->object.size / 1024) + " KiB)");
  const auto p = memory_->read_u64(runtime_->layout().allp);
  ASSERT_TRUE(p.has_value());
  const auto first = memory_->read_u64(Address{*p});
  ASSERT_TRUE(first.has_value());
  const auto entry =
      runtime_->describe(Address{*first + runtime_->layout().p_wbbuf_buf + 8 * 9}, *memory_);
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->name, "allp[0].wbBuf.buf[9]");
}

INSTANTIATE_TEST_SUITE_P(Toolchains, GoLiveStacks, ::testing::ValuesIn(testing::toolchains()),
                         testing::toolchain_name);

}  // namespace
}  // namespace culprit::runtimes::go
