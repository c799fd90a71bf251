// Crossings from stack to stack over stacks made by hand: each function's frame is as large as its
// CFI says, and the contexts that the runtime saves are where its assembly saves them.
#include "runtimes/go/stack_walk.h"

#include <gtest/gtest.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "binary/symbolizer.h"
#include "binary/unwinder.h"
#include "runtimes/go/fake_memory.h"
#include "runtimes/go/go_program.h"

namespace culprit::runtimes::go {
namespace {

using testing::FakeMemory;
using testing::FakeRuntime;
using testing::LaidStack;
using testing::lay_frames;
using testing::Site;

constexpr ThreadId kThread{4242};
constexpr ByteRange kSystemStack{Address{0x7ff000000000}, 0x20000};
constexpr ByteRange kGoStack{Address{0xc100000000}, 0x20000};
constexpr ByteRange kSignalStack{Address{0xc180000000}, 0x8000};
/// Where frames are laid, well inside.
constexpr Address kSystemSp = kSystemStack.start + 0x8000;
constexpr Address kGoSp = kGoStack.start + 0x8000;

TEST(PlainGoName, HasNoAbiSuffix) {
  EXPECT_EQ(plain_go_name("runtime.systemstack.abi0"), "runtime.systemstack");
  EXPECT_EQ(plain_go_name("runtime.mcall.abiinternal"), "runtime.mcall");
  EXPECT_EQ(plain_go_name("main.main"), "main.main");
  EXPECT_EQ(plain_go_name(".abi0"), "");
  EXPECT_EQ(plain_go_name(""), "");
}

using Names = std::vector<std::string>;

class GoStackWalks : public testing::GoProgramTest {
 protected:
  void SetUp() override {
    GoProgramTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    fake_.emplace(layout_, memory_);
    g0_ = fake_->add_g(0, kSystemStack);
    g_ = fake_->add_g(17, kGoStack);
    gsignal_ = fake_->add_g(0, kSignalStack);
    m_ = fake_->add_m(static_cast<std::uint64_t>(kThread.value), g0_, g_, gsignal_);
  }

  [[nodiscard]] Site site(const std::string& function) const {
    return testing::site(*map_, function);
  }
  LaidStack lay(Address sp, const Names& functions) {
    std::vector<Site> sites;
    for (const std::string& f : functions) sites.push_back(site(f));
    return lay_frames(memory_, sp, sites);
  }
  void set_curg(Address g) { memory_.put(m_ + static_cast<std::int64_t>(layout_.m_curg), g); }
  /// What gosave_systemstack_switch leaves (Go 1.19: its entry; later: behind its prologue).
  [[nodiscard]] Address switch_pc() const {
    const Site s = site("runtime.systemstack_switch");
    return s.size > 8 ? s.entry + 8 : s.entry;
  }

  /// Walks from the middle of `function`, whose frame is at sp, as the engine does. Names with "@"
  /// and the kind of the stack: "main.main@g", "s" for g0's, "!" for the signal stack.
  Names walk(const std::string& function, Address sp) {
    const binary::Symbolizer symbols(*map_);
    const binary::Unwinder unwinder(*map_);
    GoStackWalk stack_walk(layout_, *map_, kThread, memory_);
    Names names;
    last_ = {};
    auto frame = binary::Unwinder::resume_at(site(function).return_address, sp, std::nullopt,
                                             binary::PcKind::return_address);
    while (names.size() < 5000) {
      const auto code = symbols.locate(frame.pc, frame.pc_kind);
      const auto step = unwinder.step(frame, memory_);
      const StackLabel label = stack_walk.label(step.callee);
      const char* kind = label.kind == StackKind::goroutine ? "@g"
                         : label.kind == StackKind::system  ? "@s"
                         : label.kind == StackKind::signal  ? "@!"
                                                            : "@?";
      names.push_back(std::string(plain_go_name(code.symbol_linkage)) + kind);
      last_.push_back(step.callee);
      auto next = stack_walk.cross(code.symbol_linkage, step);
      if (!next && stack_walk.is_outermost(code.symbol_linkage)) break;
      if (!next) next = step.caller;
      if (!next) break;
      frame = *next;
    }
    return names;
  }

  FakeMemory memory_;
  std::optional<FakeRuntime> fake_;
  Address g0_, g_, gsignal_, m_;
  std::vector<binary::Frame> last_;  ///< of the last walk
};

const Names kGoFrames{"main.outer", "main.main", "runtime.main", "runtime.goexit"};

Names with(Names front, const Names& back) {
  front.insert(front.end(), back.begin(), back.end());
  return front;
}

TEST_P(GoStackWalks, SystemstackGoesOnWithTheGoroutine) {
  lay(kSystemSp, {"runtime.wbBufFlush1", "runtime.wbBufFlush.func1", "runtime.systemstack"});
  const LaidStack go = lay(kGoSp, with({"runtime.wbBufFlush"}, kGoFrames));
  // systemstack_switch has no frame of its own at the pc that is saved, but a record in later Go.
  const Site leaf = site("runtime.systemstack_switch");
  const Address saved = kGoSp - static_cast<std::int64_t>(leaf.size > 8 ? leaf.size : 8);
  memory_.put(kGoSp - 8, site("runtime.wbBufFlush").return_address);
  fake_->set_sched(g_, saved, switch_pc());
  EXPECT_EQ(walk("runtime.wbBufFlush1", kSystemSp),
            (Names{"runtime.wbBufFlush1@s", "runtime.wbBufFlush.func1@s", "runtime.systemstack@s",
                   "runtime.systemstack_switch@g", "runtime.wbBufFlush@g", "main.outer@g",
                   "main.main@g", "runtime.main@g", "runtime.goexit@g"}));
  EXPECT_EQ(last_[4].sp(), kGoSp);
  EXPECT_EQ(last_[8].sp(), go.sp.back());
}

TEST_P(GoStackWalks, MorestackGoesOnWhereTheGoroutineGrewItsStack) {
  lay(kSystemSp, {"runtime.copystack", "runtime.newstack", "runtime.morestack"});
  lay(kGoSp, with({"main.inner"}, kGoFrames));
  // morestack saves the context of the function that asked, at its entry.
  memory_.put(kGoSp - 8, site("main.inner").return_address);
  fake_->set_sched(g_, kGoSp - 8, site("main.stop").entry);
  EXPECT_EQ(
      walk("runtime.copystack", kSystemSp),
      (Names{"runtime.copystack@s", "runtime.newstack@s", "runtime.morestack@s", "main.stop@g",
             "main.inner@g", "main.outer@g", "main.main@g", "runtime.main@g", "runtime.goexit@g"}));
}

TEST_P(GoStackWalks, McallGoesOnWithTheGoroutineThatItPushed) {
  // park_m has already taken it off the m.
  set_curg({});
  const LaidStack system = lay(kSystemSp, {"runtime.park_m", "runtime.mcall"});
  memory_.put(system.sp[1], g_);
  lay(kGoSp, kGoFrames);
  memory_.put(kGoSp - 8, site("main.outer").return_address);
  fake_->set_sched(g_, kGoSp - 8, site("runtime.gopark").entry);
  EXPECT_EQ(walk("runtime.park_m", kSystemSp),
            (Names{"runtime.park_m@s", "runtime.mcall@s", "runtime.gopark@g", "main.outer@g",
                   "main.main@g", "runtime.main@g", "runtime.goexit@g"}));
}

TEST_P(GoStackWalks, McallWithoutAReadableGoroutineTakesTheCurrentOne) {
  const LaidStack system = lay(kSystemSp, {"runtime.park_m", "runtime.mcall"});
  memory_.put(system.sp[1], std::uint64_t{0xdead0000});
  lay(kGoSp, kGoFrames);
  memory_.put(kGoSp - 8, site("main.outer").return_address);
  fake_->set_sched(g_, kGoSp - 8, site("runtime.gopark").entry);
  const Names with_current = walk("runtime.park_m", kSystemSp);
  EXPECT_EQ(with_current.back(), "runtime.goexit@g");
  set_curg({});
  const Names without = walk("runtime.park_m", kSystemSp);
  EXPECT_EQ((Names{without[0], without[1]}), (Names{"runtime.park_m@s", "runtime.mcall@s"}));
  for (const std::string& name : without) EXPECT_EQ(name.find("@g"), std::string::npos) << name;
}

TEST_P(GoStackWalks, AsmcgocallGoesOnWithTheGoroutineThatCalledC) {
  lay(kSystemSp, {"goInner", "runtime.asmcgocall"});
  lay(kGoSp, with({"runtime.cgocall"}, kGoFrames));
  const Site leaf = site("runtime.systemstack_switch");
  memory_.put(kGoSp - 8, site("runtime.cgocall").return_address);
  fake_->set_sched(g_, kGoSp - static_cast<std::int64_t>(leaf.size), switch_pc());
  EXPECT_EQ(walk("goInner", kSystemSp),
            (Names{"goInner@s", "runtime.asmcgocall@s", "runtime.systemstack_switch@g",
                   "runtime.cgocall@g", "main.outer@g", "main.main@g", "runtime.main@g",
                   "runtime.goexit@g"}));
}

TEST_P(GoStackWalks, CallbacksOfCGoInTheOrderOfTheCalls) {
  const Site callback = site("runtime.cgocallback");
  const Site leaf = site("runtime.systemstack_switch");
  const auto leaf_size = static_cast<std::int64_t>(leaf.size);

  // The thread's stack: two runs of C frames, the inner one below, each ended by a cgocallback
  // frame whose first word links to the next.
  const LaidStack inner_c =
      lay(kSystemSp, {"runtime.cgocallback", "crosscall2", "goStop", "runtime.asmcgocall"});
  const LaidStack outer_c = lay(
      inner_c.end + 0x400, {"runtime.cgocallback", "crosscall2", "goInner", "runtime.asmcgocall"});
  memory_.put(inner_c.sp[0], outer_c.sp[0]);
  memory_.put(outer_c.sp[0], kSystemStack.end() - 64);
  // What the C code has in rbp, saved by cgocallback just below its return address.
  constexpr std::uint64_t kInnerBp = 0x1111, kOuterBp = 0x2222;
  const auto saved_bp = static_cast<std::int64_t>(callback.size) - 16;
  memory_.put(inner_c.sp[0] + saved_bp, kInnerBp);
  memory_.put(outer_c.sp[0] + saved_bp, kOuterBp);
  fake_->set_sched(g0_, inner_c.sp[0], Address{});

  // The goroutine's: cgocallback's frames there return into the pc that asmcgocall saved.
  const LaidStack inner_go =
      lay(kGoSp, {"main.stop", "runtime.cgocallbackg", "runtime.cgocallback"});
  memory_.put(inner_go.end - 8, switch_pc());
  const Address second = inner_go.end + leaf_size;
  const LaidStack middle =
      lay(second, {"runtime.cgocall", "main.inner", "runtime.cgocallbackg", "runtime.cgocallback"});
  memory_.put(second - 8, site("runtime.cgocall").return_address);
  memory_.put(middle.end - 8, switch_pc());
  const Address third = middle.end + leaf_size;
  lay(third, with({"runtime.cgocall"}, kGoFrames));
  memory_.put(third - 8, site("runtime.cgocall").return_address);

  const Names expected{"main.stop@g",
                       "runtime.cgocallbackg@g",
                       "runtime.cgocallback@g",
                       "crosscall2@s",
                       "goStop@s",
                       "runtime.asmcgocall@s",
                       "runtime.systemstack_switch@g",
                       "runtime.cgocall@g",
                       "main.inner@g",
                       "runtime.cgocallbackg@g",
                       "runtime.cgocallback@g",
                       "crosscall2@s",
                       "goInner@s",
                       "runtime.asmcgocall@s",
                       "runtime.systemstack_switch@g",
                       "runtime.cgocall@g",
                       "main.outer@g",
                       "main.main@g",
                       "runtime.main@g",
                       "runtime.goexit@g"};
  const Names found = walk("main.stop", kGoSp);
  ASSERT_EQ(found, expected);
  EXPECT_EQ(last_[3].registers.get(Gpr::rbp), kInnerBp);
  EXPECT_EQ(last_[11].registers.get(Gpr::rbp), kOuterBp);
  EXPECT_EQ(last_[3].sp(), inner_c.sp[1]);
  EXPECT_EQ(last_[7].sp(), second);
  EXPECT_EQ(last_[15].sp(), third);
}

TEST_P(GoStackWalks, ASignalHandlersReturnIsTheInterruptedCode) {
  // The handler ran on gsignal's stack, above it the kernel's frame: sp is at the ucontext once the
  // handler has returned.
  const Address sp = kSignalStack.start + 0x4000;
  const auto gregs = static_cast<std::int64_t>(offsetof(ucontext_t, uc_mcontext.gregs));
  const auto put = [&](int index, std::uint64_t value) {
    memory_.put(sp + gregs + 8 * static_cast<std::int64_t>(index), value);
  };
  for (int i = 0; i <= REG_RIP; ++i) put(i, 0x1000U + static_cast<std::uint64_t>(i));
  put(REG_RSP, kGoSp.value);
  put(REG_RIP, site("main.stop").entry.value);
  binary::UnwindStep step;
  step.callee = binary::Unwinder::resume_at(Address{1}, sp, std::nullopt, binary::PcKind::exact);

  GoStackWalk stack_walk(layout_, *map_, kThread, memory_);
  const auto next = stack_walk.cross("runtime.sigreturn__sigaction.abi0", step);
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->pc, site("main.stop").entry);
  EXPECT_EQ(next->pc_kind, binary::PcKind::exact);
  EXPECT_EQ(next->sp(), kGoSp);
  const std::vector<std::pair<Gpr, int>> others{
      {Gpr::rax, REG_RAX}, {Gpr::rcx, REG_RCX}, {Gpr::rdx, REG_RDX}, {Gpr::rbx, REG_RBX},
      {Gpr::rbp, REG_RBP}, {Gpr::rsi, REG_RSI}, {Gpr::rdi, REG_RDI}, {Gpr::r8, REG_R8},
      {Gpr::r9, REG_R9},   {Gpr::r10, REG_R10}, {Gpr::r11, REG_R11}, {Gpr::r12, REG_R12},
      {Gpr::r13, REG_R13}, {Gpr::r14, REG_R14}, {Gpr::r15, REG_R15}};
  for (const auto& [gpr, index] : others) {
    EXPECT_EQ(next->registers.get(gpr), 0x1000U + static_cast<std::uint64_t>(index)) << index;
  }
  EXPECT_EQ(stack_walk.label(step.callee).kind, StackKind::signal);
  EXPECT_EQ(stack_walk.label(*next).kind, StackKind::goroutine);

  memory_.drop(sp);
  EXPECT_FALSE(stack_walk.cross("runtime.sigreturn", step).has_value());
  EXPECT_FALSE(stack_walk.cross("sigreturn", step).has_value());
}

TEST_P(GoStackWalks, LabelsGoByTheBoundsOfTheStacks) {
  GoStackWalk stack_walk(layout_, *map_, kThread, memory_);
  const auto label = [&](Address sp) {
    return stack_walk.label(
        binary::Unwinder::resume_at(Address{1}, sp, std::nullopt, binary::PcKind::exact));
  };
  EXPECT_EQ(label(kGoStack.start), (StackLabel{StackKind::goroutine, "goroutine 17"}));
  EXPECT_EQ(label(kGoStack.end()), (StackLabel{StackKind::goroutine, "goroutine 17"}));
  EXPECT_EQ(label(kGoStack.start - 1).kind, StackKind::system);
  EXPECT_EQ(label(kGoStack.end() + 1).kind, StackKind::system);
  EXPECT_EQ(label(kSignalStack.start).kind, StackKind::signal);
  EXPECT_EQ(label(kSystemSp).kind, StackKind::system);
  GoStackWalk foreign(layout_, *map_, ThreadId{1}, memory_);
  EXPECT_EQ(foreign
                .label(binary::Unwinder::resume_at(Address{1}, kGoSp, std::nullopt,
                                                   binary::PcKind::exact))
                .kind,
            StackKind::native);
}

TEST_P(GoStackWalks, OutermostFunctionsAndOnlyThose) {
  GoStackWalk stack_walk(layout_, *map_, kThread, memory_);
  for (const char* name : {"runtime.goexit", "runtime.goexit.abi0", "runtime.mstart",
                           "runtime.mstart.abi0", "runtime.rt0_go.abi0", "_rt0_amd64_linux"}) {
    EXPECT_TRUE(stack_walk.is_outermost(name)) << name;
  }
  for (const char* name : {"", "runtime.goexit1", "runtime.mstart1", "main.main", "goexit"}) {
    EXPECT_FALSE(stack_walk.is_outermost(name)) << name;
  }
}

// ---- hostile memory ----

TEST_P(GoStackWalks, ASavedContextThatPointsToItselfEnds) {
  // The goroutine's context is systemstack again: each crossing leads back to the same place, if
  // its stack pointer is not the goroutine's.
  const Site systemstack = site("runtime.systemstack");
  lay(kSystemSp, {"runtime.wbBufFlush.func1", "runtime.systemstack"});
  for (const Address sp :
       {kGoSp, kSystemSp, kGoStack.end(), Address{}, Address{~std::uint64_t{0}}}) {
    fake_->set_sched(g_, sp, systemstack.return_address);
    memory_.reset_counts();
    EXPECT_LE(walk("runtime.wbBufFlush.func1", kSystemSp).size(), 4U) << sp.value;
    EXPECT_LE(memory_.reads(), 1000U);
  }
}

TEST_P(GoStackWalks, McallsThatPushThemselvesEnd) {
  // The pushed goroutine's saved context is mcall, whose pushed goroutine is the same one.
  const LaidStack system = lay(kSystemSp, {"runtime.park_m", "runtime.mcall"});
  memory_.put(system.sp[1], g_);
  memory_.put(kGoSp, g_);
  fake_->set_sched(g_, kGoSp, site("runtime.mcall").entry);
  memory_.reset_counts();
  const Names names = walk("runtime.park_m", kSystemSp);
  EXPECT_GE(names.size(), 3U);
  EXPECT_LE(names.size(), 1100U);       // as many crossings as are made at most
  EXPECT_LE(memory_.reads(), 50'000U);  // a few for each
}

TEST_P(GoStackWalks, CallbackLinksInACircleEnd) {
  // cgocallback's frame on the C stack is linked to itself, and returns into itself.
  const LaidStack c = lay(kSystemSp, {"runtime.cgocallback"});
  memory_.put(c.sp[0], c.sp[0]);
  memory_.put(c.end - 8, site("runtime.cgocallback").return_address);
  fake_->set_sched(g0_, c.sp[0], Address{});
  lay(kGoSp, {"main.stop", "runtime.cgocallback"});
  EXPECT_LE(walk("main.stop", kGoSp).size(), 1100U);
  // Both stacks are one: every frame is on the goroutine's stack.
  const LaidStack both = lay(kGoSp, {"main.stop", "runtime.cgocallback"});
  memory_.put(both.sp[1], both.sp[1]);
  memory_.put(both.end - 8, site("runtime.cgocallback").return_address);
  fake_->set_sched(g0_, both.sp[1], Address{});
  memory_.reset_counts();
  EXPECT_LE(walk("main.stop", kGoSp).size(), 1100U);
  EXPECT_LE(memory_.reads(), 50'000U);
}

TEST_P(GoStackWalks, UnreadableSchedulerLeavesANativeWalk) {
  const LaidStack system = lay(kSystemSp, {"runtime.wbBufFlush.func1", "runtime.systemstack"});
  memory_.drop(m_);
  const Names names = walk("runtime.wbBufFlush.func1", kSystemSp);
  ASSERT_GE(names.size(), 2U);
  EXPECT_EQ((Names{names[0], names[1]}),
            (Names{"runtime.wbBufFlush.func1@?", "runtime.systemstack@?"}));
  EXPECT_EQ(last_[1].sp(), system.sp[1]);
}

TEST_P(GoStackWalks, ASavedStackPointerOutsideTheStackIsNotUsed) {
  lay(kSystemSp, {"runtime.wbBufFlush.func1", "runtime.systemstack"});
  for (const Address sp : {kGoStack.start - 8, kGoStack.end(), kSystemSp, Address{0}}) {
    fake_->set_sched(g_, sp, switch_pc());
    for (const std::string& name : walk("runtime.wbBufFlush.func1", kSystemSp)) {
      EXPECT_EQ(name.find("@g"), std::string::npos) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Toolchains, GoStackWalks, ::testing::ValuesIn(testing::toolchains()),
                         testing::toolchain_name);

}  // namespace
}  // namespace culprit::runtimes::go
