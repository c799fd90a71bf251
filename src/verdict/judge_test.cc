#include "verdict/judge.h"

#include <gtest/gtest.h>

namespace culprit::verdict {
namespace {

using report::BugClass;
using report::Confidence;
using report::HopKind;

report::Hop hop(HopKind kind, const std::string& function, const std::string& file,
                std::uint32_t line, Confidence confidence = Confidence::proved) {
  report::Hop out;
  out.kind = kind;
  out.writer.function = function;
  out.writer.file = file;
  out.writer.line = line;
  out.confidence = confidence;
  return out;
}

report::Report stale_chain() {
  report::Report r;
  r.suspect = report::Suspect{};
  r.suspect->value = 0xc000100000;
  r.hops.push_back(hop(HopKind::crash_report, "runtime.wbBufFlush1", "mwbbuf.go", 260));
  report::Hop barrier = hop(HopKind::runtime_store, "runtime.gcWriteBarrier", "asm_amd64.s", 1651);
  barrier.backtrace.resize(2);
  barrier.backtrace[0].function = "runtime.gcWriteBarrier";
  barrier.backtrace[1].function = "main.exportField";
  barrier.backtrace[1].file = "/src/main.go";
  barrier.backtrace[1].line = 37;
  r.hops.push_back(barrier);
  report::Hop stale = hop(HopKind::stale_bytes, "cache_schema", "import.c", 14);
  report::Location location;
  location.region = report::RegionKind::stack;
  report::Owner owner;
  owner.variable = "c_schema";
  owner.member = "format";
  owner.type = "struct ArrowSchema";
  owner.function = "cache_schema";
  owner.declared_file = "/src/import.c";
  owner.declared_line = 14;
  location.owner = owner;
  stale.location = location;
  stale.value_after = 0xc000100000;
  r.hops.push_back(stale);
  r.hops.push_back(hop(HopKind::store, "runtime.copystack", "stack.go", 883));
  r.verdict.stopped_because = report::StopReason::origin_found;
  report::number_hops(r.hops);
  return r;
}

TEST(Judge, UninitialisedStackNamesTheVariableItsDeclarationAndTheStaleWriter) {
  report::Report r = stale_chain();
  judge(r);
  EXPECT_EQ(r.verdict.bug_class, BugClass::uninitialised_stack);
  EXPECT_EQ(r.verdict.confidence, Confidence::proved);
  EXPECT_EQ(r.verdict.evidence, (std::vector<std::uint32_t>{1, 2, 3}));
  EXPECT_NE(r.verdict.explanation.find("runtime.copystack (stack.go:883)"), std::string::npos);
  EXPECT_NE(r.verdict.explanation.find("main.exportField (main.go:37)"), std::string::npos);
  EXPECT_NE(r.verdict.suggested_fix.find("import.c:14"), std::string::npos);
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->variable, "c_schema");
  EXPECT_EQ(r.verdict.cause->member, "format");
  EXPECT_FALSE(r.fingerprint.strict.empty());
}

TEST(Judge, AVerdictIsNoSurerThanItsEvidence) {
  report::Report r = stale_chain();
  r.hops[1].confidence = Confidence::likely;
  judge(r);
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
}

TEST(Judge, TheEnginesStopReasonStays) {
  report::Report r = stale_chain();
  judge(r);
  EXPECT_EQ(r.verdict.stopped_because, report::StopReason::origin_found);
}

TEST(Judge, ANullThatWasUsedIsANullDereference) {
  report::Report r;
  r.suspect = report::Suspect{};
  r.crash.fault_address = Address{8};
  r.hops.push_back(hop(HopKind::crash_report, "use", "a.c", 10));
  r.hops.push_back(hop(HopKind::store, "open_session", "a.c", 28));
  r.verdict.stopped_because = report::StopReason::constant;
  report::number_hops(r.hops);
  judge(r);
  EXPECT_EQ(r.verdict.bug_class, BugClass::null_dereference);
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "open_session");
}

TEST(Judge, ASmallValueThatIsNotZeroIsNoNull) {
  report::Report r;
  r.suspect = report::Suspect{};
  r.suspect->value = 0x790;
  r.crash.fault_address = Address{0x798};
  r.hops.push_back(hop(HopKind::crash_report, "use", "a.c", 10));
  report::number_hops(r.hops);
  judge(r);
  EXPECT_NE(r.verdict.bug_class, BugClass::null_dereference);
}

TEST(Judge, AFrameThatHadEndedMakesAUseAfterReturn) {
  report::Report r;
  r.suspect = report::Suspect{};
  r.suspect->value = 0x790;
  r.hops.push_back(hop(HopKind::crash_report, "next_kind", "a.c", 38));
  report::Hop store = hop(HopKind::store, "measure", "a.c", 32);
  report::Location location;
  location.owner = report::Owner{};
  location.owner->life.died = report::LifeEvent{};
  store.location = location;
  r.hops.push_back(store);
  report::number_hops(r.hops);
  judge(r);
  EXPECT_EQ(r.verdict.bug_class, BugClass::use_after_return);
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
}

TEST(Judge, AChainThatNeverBeganIsUnknownAndSaysWhy) {
  report::Report r;
  r.verdict.stopped_because = report::StopReason::value_not_found;
  r.verdict.stopped_detail = "0x1234 is nowhere";
  judge(r);
  EXPECT_EQ(r.verdict.bug_class, BugClass::unknown);
  EXPECT_NE(r.verdict.explanation.find("0x1234 is nowhere"), std::string::npos);
}

}  // namespace
}  // namespace culprit::verdict
