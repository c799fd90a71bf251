// Hops that kept a pointer in a variable whose scope has ended since.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "binary/test_support.h"
#include "provenance/testing/chain_bench.h"
#include "provenance/testing/live_image.h"
#include "provenance/testing/look.h"
#include "provenance/testing/scripted_replay.h"

namespace culprit::provenance {
namespace {

using testing::ChainBench;
using testing::look;
using testing::Look;
using testing::Looker;
using testing::ScriptedReplay;

/// testdata/scopes.c "crashes" while serve(which) has called a user of its pointer to the variable
/// `left`.
class EndedScopes : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string library = folder_ / "scopes.so";
    ASSERT_TRUE(binary::testing::run(
        {"gcc", "-shared", "-fPIC", "-O0", "-g", "-o", library,
         std::string(CULPRIT_SOURCE_DIR) + "/src/provenance/testdata/scopes.c"}));
    handle_ = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(handle_, nullptr) << dlerror();
  }
  ~EndedScopes() override {
    if (handle_ != nullptr) dlclose(handle_);
  }
  /// The report after explain_ended_scopes(). Hop 0 read `left` at the crash; hop 1, on a side
  /// branch, kept something there.
  report::Report explained(int which, bool main_line = false) {
    report::Report out;
    auto* serve = reinterpret_cast<void (*)(int, Look, void*)>(dlsym(handle_, "serve"));
    const Looker looker = [&](const Registers& registers, Address where) {
      testing::LiveImage live;
      ScriptedReplay replay;
      ChainBench chain(replay, live.take());
      CrashScene& scene = chain.scene();
      stand_at(chain.image(), {testing::kThread, testing::kProcess, 0, 1}, registers, memory_,
               scene.moment);
      scene.stack = StackCopy(scene.moment, memory_);
      scene.fault.emplace();
      report::Owner owner;
      owner.variable = "left";
      owner.function = "serve";
      owner.declared_line = 15;
      owner.object = where;
      Link::Reader reader;
      for (std::size_t i = 0; i < scene.moment.frames.size(); ++i) {
        const auto& frame = scene.moment.frames[i];
        if (frame.code.best_name() == "serve") owner.frame = frame.frame.cfa;
        if (frame.code.best_name().starts_with("use_")) reader.frame = i;
      }
      ASSERT_TRUE(owner.frame) << "the stack was not walked";
      report::Hop hop;
      hop.location.emplace().region = report::RegionKind::stack;
      hop.location->address = where;
      hop.location->owner = owner;
      chain.report().hops.push_back(hop);
      hop.kind = report::HopKind::store;
      hop.main_line = main_line;
      chain.report().hops.push_back(hop);
      reader.pointer = Gpr::rax;
      chain.first_reader() = reader;
      chain.explain_ended_scopes();
      EXPECT_TRUE(replay.passes.empty()) << "the kept stack has all of it";
      out = chain.report();
    };
    serve(which, look, const_cast<Looker*>(&looker));
    return out;
  }

  binary::testing::TemporaryFolder folder_;
  void* handle_ = nullptr;
  binary::testing::ProcessMemory memory_{getpid()};
};

TEST_F(EndedScopes, AreToldAtTheHopAndAtTheCrash) {
  const report::Report report = explained(1);
  ASSERT_EQ(report.hops.size(), 3U);
  ASSERT_TRUE(report.hops[1].location->owner->life.died);
  EXPECT_EQ(report.hops[1].location->owner->life.died->description, "its scope had ended");
  const report::Hop& meant = report.hops[2];
  EXPECT_EQ(meant.kind, report::HopKind::origin);
  EXPECT_FALSE(meant.main_line);
  EXPECT_EQ(meant.parent, 0U);
  EXPECT_EQ(meant.writer.line, 15U);
  EXPECT_EQ(meant.confidence, report::Confidence::likely);
  EXPECT_NE(meant.summary.find("which left was there until its scope ended"), std::string::npos)
      << meant.summary;
}

TEST_F(EndedScopes, NotWhileTheScopeIsThere) {
  const report::Report report = explained(0);
  ASSERT_EQ(report.hops.size(), 2U);
  EXPECT_FALSE(report.hops[1].location->owner->life.died);
}

TEST_F(EndedScopes, TheMainLineIsNotToldAgain) {
  const report::Report report = explained(1, true);
  ASSERT_GE(report.hops.size(), 2U);
  EXPECT_FALSE(report.hops[1].location->owner->life.died);
}

}  // namespace
}  // namespace culprit::provenance
