// Unwinding at every single instruction: a traced child is stepped through real code, and each
// frame is compared with a shadow stack made from nothing but the calls and returns seen.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "binary/debug_type.h"
#include "binary/module_map.h"
#include "binary/symbolizer.h"
#include "binary/test_support.h"
#include "binary/unwinder.h"
#include "binary/variables.h"

namespace culprit::binary {
namespace {

using testing::ProcessMemory;
using testing::read_maps;
using testing::ShadowStack;
using testing::TemporaryFolder;
using testing::TracedChild;

struct Outcome {
  std::size_t steps = 0;
  std::size_t compared = 0;
  std::size_t walked = 0;
  std::map<std::string, std::size_t> wrong;  // by instruction, how often
  std::map<std::string, std::size_t> rules;
};

// Steps the child until it ends or `max_steps`, comparing after each.
Outcome step_and_compare(TracedChild& child, const ModuleMap& map, std::size_t max_steps) {
  Outcome outcome;
  const ProcessMemory memory(child.pid());
  const Unwinder unwinder(map);
  const Symbolizer symbolizer(map);
  ShadowStack shadow;
  Registers before = child.registers();
  while (outcome.steps < max_steps && child.step()) {
    ++outcome.steps;
    const Registers now = child.registers();
    shadow.observe(before, now, memory);
    before = now;
    const auto& slots = shadow.slots();
    if (!shadow.comparable()) continue;
    // A stack switch (Go) leaves the shadow on another stack.
    const std::int64_t depth = slots.back() - now.sp();
    if (depth < 0 || depth > (1 << 20)) continue;
    const UnwindStep step = unwinder.step(Unwinder::start(now), memory);
    ++outcome.compared;
    ++outcome.rules[to_string(step.callee.rule)];
    const auto expected = memory.read_u64(slots.back());
    const bool right = step.caller && step.callee.return_address_slot == slots.back() &&
                       expected == step.caller->pc.value && step.caller->sp() == slots.back() + 8;
    if (!right) {
      const CodeLocation at = symbolizer.locate(now.pc());
      ++outcome.wrong[std::string(at.best_name()) + "+" + to_hex(at.symbol_offset) + " (" +
                      to_string(step.callee.rule) + ", " + step.detail + ")"];
      continue;
    }
    if (outcome.steps % 64 == 0) {
      // The whole walk, as far as the shadow goes.
      ++outcome.walked;
      const Backtrace trace = unwinder.unwind(now, memory);
      for (std::size_t i = 0; i + shadow.behind_switch() < slots.size(); ++i) {
        const Address slot = slots[slots.size() - 1 - i];
        // Above a stack switch only a runtime's own knowledge helps.
        const std::int64_t distance = slot - (i == 0 ? now.sp() : slots[slots.size() - i]);
        if (distance < 0 || distance > (1 << 20)) break;
        if (i >= trace.frames.size() || trace.frames[i].return_address_slot != slot) {
          ++outcome.wrong["walk at " + std::string(symbolizer.locate(now.pc()).best_name()) +
                          " frame " + std::to_string(i) + ": " + trace.detail];
          break;
        }
      }
    }
  }
  return outcome;
}

void expect_all_right(const Outcome& outcome) {
  for (const auto& [where, count] : outcome.wrong) ADD_FAILURE() << where << ": " << count;
}

struct StepVariant {
  std::string name;
  std::vector<std::string> command;
  std::string only_rule;  // if set: the rule that frames of the specimen must use
};

void PrintTo(const StepVariant& v, std::ostream* out) { *out << v.name; }

class Stepping : public ::testing::TestWithParam<StepVariant> {};

TEST_P(Stepping, EveryInstructionFindsItsCaller) {
  const TemporaryFolder folder;
  const std::string library = folder / "specimen.so";
  std::vector<std::string> command = GetParam().command;
  if (!testing::run({command[0], "--version"})) GTEST_SKIP() << command[0] << " is not installed";
  command.insert(command.end(),
                 {"-shared", "-fPIC", "-o", library, testing::test_data("frames.c")});
  ASSERT_TRUE(testing::run(command));
  void* handle = dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL);
  ASSERT_NE(handle, nullptr) << dlerror();
  auto* workload = reinterpret_cast<int (*)(int)>(dlsym(handle, "workload"));
  ASSERT_NE(workload, nullptr);
  TracedChild child([&] { workload(2); });
  ASSERT_TRUE(child.stopped());
  ModuleCache cache;
  ModuleMap map(read_maps(child.pid()), cache);
  EXPECT_TRUE(map.verify(ProcessMemory(child.pid())).empty());
  const Outcome outcome = step_and_compare(child, map, 60000);
  expect_all_right(outcome);
  EXPECT_GT(outcome.compared, 2000U);
  EXPECT_GT(outcome.walked, 20U);
  if (!GetParam().only_rule.empty()) {
    EXPECT_GT(outcome.rules.at(GetParam().only_rule), 1000U);
  }
  dlclose(handle);
}

INSTANTIATE_TEST_SUITE_P(
    Options, Stepping,
    ::testing::Values(StepVariant{"gccO0", {"gcc", "-O0", "-g"}, "eh_frame"},
                      StepVariant{"gccO1", {"gcc", "-O1", "-g"}, "eh_frame"},
                      StepVariant{"gccO2", {"gcc", "-O2", "-g"}, "eh_frame"},
                      StepVariant{"gccO3", {"gcc", "-O3", "-g"}, "eh_frame"},
                      StepVariant{"gccOs", {"gcc", "-Os", "-g"}, "eh_frame"},
                      StepVariant{"gccNoDebug", {"gcc", "-O2"}, "eh_frame"},
                      StepVariant{"gccNow", {"gcc", "-O2", "-g", "-fno-plt"}, "eh_frame"},
                      StepVariant{"clangO0", {"clang-14", "-O0", "-g"}, "eh_frame"},
                      StepVariant{"clangO2", {"clang-14", "-O2", "-g"}, "eh_frame"},
                      StepVariant{"debugFrameOnly",
                                  {"gcc", "-O2", "-g", "-fno-asynchronous-unwind-tables"},
                                  "debug_frame"}),
    [](const auto& i) { return i.param.name; });

// Without any CFI the frame pointer must do, where the code keeps one: the walk from a call.
TEST(SteppingWithoutCfi, FramePointersLeadToTheCaller) {
  const TemporaryFolder folder;
  const std::string library = folder / "specimen.so";
  ASSERT_TRUE(testing::run({"gcc", "-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls",
                            "-fno-asynchronous-unwind-tables", "-shared", "-fPIC", "-o", library,
                            testing::test_data("frames.c")}));
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(handle, nullptr) << dlerror();
  auto* workload = reinterpret_cast<int (*)(int)>(dlsym(handle, "workload"));
  TracedChild child([&] { workload(3); });
  ASSERT_TRUE(child.stopped());
  ModuleCache cache;
  ModuleMap map(read_maps(child.pid()), cache);
  const Outcome outcome = step_and_compare(child, map, 20000);
  EXPECT_GT(outcome.rules.at("frame pointer"), 500U);
  // Between "push %rbp" and "mov %rsp,%rbp", and after "leave", nothing tells: a few instructions
  // of a function may be wrong or unknown, not more.
  std::size_t wrong = 0;
  for (const auto& [where, count] : outcome.wrong) wrong += count;
  EXPECT_LT(wrong * 20, outcome.compared);
  dlclose(handle);
}

class GoProgram : public ::testing::TestWithParam<std::string> {};

TEST_P(GoProgram, FramesLocalsTypesAndEveryInstruction) {
  if (GetParam() == "none") GTEST_SKIP() << "no Go toolchain on this machine";
  const TemporaryFolder folder;
  const std::string program = folder / "program";
  ASSERT_TRUE(testing::build_go(GetParam(), testing::test_data("program.go"), program));
  TracedChild child(std::vector<std::string>{program});
  ASSERT_TRUE(child.stopped());
  ASSERT_TRUE(child.run_until(SIGTRAP));
  ModuleCache cache;
  ModuleMap map(read_maps(child.pid()), cache);
  const ProcessMemory memory(child.pid());
  EXPECT_TRUE(map.verify(memory).empty());
  const Symbolizer symbolizer(map);
  const Backtrace trace = Unwinder(map).unwind(child.registers(), memory);
  std::vector<std::string> names;
  for (const Frame& f : trace.frames) {
    const CodeLocation at = symbolizer.locate(f.pc, f.pc_kind);
    names.emplace_back(at.frames.empty() ? "?" : at.frames.back().name);
    EXPECT_EQ(at.language, "Go");
  }
  const std::vector<std::string> expected{"runtime.breakpoint", "main.consume", "main.leaf",
                                          "main.middle",        "main.main",    "runtime.main",
                                          "runtime.goexit"};
  // runtime.Breakpoint may be inlined or not, and its assembly be called either way.
  ASSERT_GE(names.size(), expected.size() - 1);
  const auto at =
      static_cast<std::size_t>(std::find(names.begin(), names.end(), "main.leaf") - names.begin());
  ASSERT_LT(at + 4, names.size()) << names.front() << ", " << trace.detail;
  EXPECT_EQ(names[at - 1], "main.consume");
  EXPECT_EQ(names[at + 1], "main.middle");
  EXPECT_EQ(names[at + 2], "main.main");
  EXPECT_EQ(names[at + 3], "runtime.main");
  EXPECT_EQ(names[at + 4].substr(0, 14), "runtime.goexit");
  EXPECT_EQ(trace.stop, UnwindStop::outermost) << trace.detail;
  // Frame pointers are recovered although Go's CFI does not tell them: each saved one lies in the
  // frame it belongs to.
  for (std::size_t i = at; i < at + 3; ++i) {
    const auto rbp = trace.frames[i].registers.get(Gpr::rbp);
    ASSERT_TRUE(rbp.has_value());
    ASSERT_TRUE(trace.frames[i].cfa.has_value());
    EXPECT_EQ(*rbp, trace.frames[i].cfa->value - 16) << names[i];
  }

  const VariableFinder finder(map);
  const FrameView view{&trace.frames[at], &trace.frames[at + 1], &memory};
  const auto variables = finder.variables(view);
  ASSERT_TRUE(variables.ok());
  bool found = false;
  for (const Variable& v : *variables) {
    if (v.name != "rec") continue;
    found = true;
    EXPECT_EQ(v.type_name, "main.record");
    EXPECT_EQ(v.size, 48U);
    const auto address = v.location.address();
    ASSERT_TRUE(address.has_value());
    EXPECT_EQ(memory.read_u64(*address + 16), 0x1122334455667788U);
    EXPECT_EQ(finder.describe_address(view, *address + 16)->expression, "rec.count");
    EXPECT_EQ(finder.describe_address(view, *address + 36)->expression, "rec.parts[1].b");
    EXPECT_EQ(finder.describe_address(view, *address + 8)->expression, "rec.name.len");
    const FrameView callee{&trace.frames[at - 1], &trace.frames[at], &memory};
    const auto pointee = finder.describe_pointee(callee, *address + 16);
    if (pointee) {
      EXPECT_EQ(pointee->expression, "r.count");
    }
  }
  EXPECT_TRUE(found);

  const auto g = find_type(map, "runtime.g");
  ASSERT_TRUE(g.has_value());
  EXPECT_EQ(g->member("stack")->offset, 0U);
  EXPECT_EQ(g->member("stack")->type.name(), "runtime.stack");
  EXPECT_EQ(g->member("stackguard0")->offset, 16U);
  EXPECT_TRUE(g->member("sched").has_value());
  for (const char* name : {"runtime.m", "runtime.p", "runtime.gobuf", "runtime.stack"}) {
    EXPECT_TRUE(find_type(map, name).has_value()) << name;
  }
  const auto table = finder.find_global("main.table");
  ASSERT_TRUE(table.has_value());
  EXPECT_EQ(memory.read_u64(*table->location.address() + 16), 77U);
  EXPECT_EQ(finder.describe_global(*table->location.address() + 16)->expression,
            "main.table.count");
  EXPECT_EQ(symbolizer.function_entries("runtime.copystack").size(), 1U);

  const Outcome outcome = step_and_compare(child, map, 20000);
  expect_all_right(outcome);
  EXPECT_GT(outcome.compared, 1000U);
}

// A stripped Go program has no CFI at all: frame pointers.
TEST_P(GoProgram, StrippedOnesUnwindByFramePointer) {
  if (GetParam() == "none") GTEST_SKIP() << "no Go toolchain on this machine";
  const TemporaryFolder folder;
  const std::string program = folder / "program";
  const std::string full = folder / "full";
  ASSERT_TRUE(testing::build_go(GetParam(), testing::test_data("program.go"), program, true));
  TracedChild child(std::vector<std::string>{program});
  ASSERT_TRUE(child.stopped());
  ASSERT_TRUE(child.run_until(SIGTRAP));
  ModuleCache cache;
  ModuleMap map(read_maps(child.pid()), cache);
  const Backtrace trace = Unwinder(map).unwind(child.registers(), ProcessMemory(child.pid()));
  EXPECT_GE(trace.frames.size(), 5U) << trace.detail;
  EXPECT_EQ(trace.frames[1].rule, UnwindRule::frame_pointer);
  const CodeLocation at = Symbolizer(map).locate(trace.frames[0].pc);
  EXPECT_FALSE(at.has_debug_info);
  EXPECT_FALSE(at.no_debug_info.empty());
}

std::vector<std::string> go_versions() {
  auto tools = testing::go_tools();
  if (tools.empty()) tools.emplace_back("none");
  return tools;
}

INSTANTIATE_TEST_SUITE_P(Toolchains, GoProgram, ::testing::ValuesIn(go_versions()),
                         [](const auto& i) { return "go" + std::to_string(i.index); });

}  // namespace
}  // namespace culprit::binary
