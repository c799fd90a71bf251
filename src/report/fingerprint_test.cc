#include "report/fingerprint.h"

#include <gtest/gtest.h>

#include <string>

#include "report/sample_reports.h"

namespace culprit::report {
namespace {

// Computed by hand from the definition (FNV-1a of 128 bits), so that keys stay the same for good.
TEST(Fingerprint, HasThePublishedValue) {
  const Fingerprint keys = fingerprint(full_report());
  EXPECT_EQ(keys.loose, "1l-ca0f6bd7f83f115edfa4484d3a6691a8");
  EXPECT_EQ(keys.strict, "1s-9dd5ace0f0ccdbe3e01f737fb689adfe");
}

TEST(Fingerprint, IgnoresWhatDiffersFromRunToRun) {
  Report report = full_report();
  const Fingerprint keys = fingerprint(report);
  report.program.pid = ProcessId{99};
  report.suspect->value = 0x1234;
  report.trace.directory = "/elsewhere";
  report.verdict.explanation = "other words";
  report.verdict.cause->file = "/another/checkout/import.c";
  report.verdict.cause->module = "/opt/server";
  for (Hop& hop : report.hops) {
    hop.position = {};
    hop.writer.pc = Address{1};
    hop.location->address = Address{2};
    hop.value_after = 3;
  }
  EXPECT_EQ(fingerprint(report), keys);
}

TEST(Fingerprint, LinesOnlyMatterToTheStrictKey) {
  Report report = full_report();
  const Fingerprint keys = fingerprint(report);
  report.verdict.cause->line += 3;
  EXPECT_EQ(fingerprint(report).loose, keys.loose);
  EXPECT_NE(fingerprint(report).strict, keys.strict);
}

TEST(Fingerprint, AnotherCauseIsAnotherKey) {
  const Fingerprint keys = fingerprint(full_report());
  const auto differs = [&](auto change) {
    Report report = full_report();
    change(report);
    EXPECT_NE(fingerprint(report).loose, keys.loose);
    EXPECT_NE(fingerprint(report).strict, keys.strict);
  };
  differs([](Report& r) { r.verdict.bug_class = BugClass::use_after_free; });
  differs([](Report& r) { r.verdict.cause->function = "other"; });
  differs([](Report& r) { r.verdict.cause->variable = "other"; });
  differs([](Report& r) { r.verdict.cause->member = "name"; });
  differs([](Report& r) { r.verdict.cause->file = "/home/dev/src/export.c"; });
  differs([](Report& r) { r.verdict.cause->module = "libother.so"; });
  // Neighbouring fields do not run together.
  differs([](Report& r) {
    r.verdict.cause->variable = "c_schemaformat";
    r.verdict.cause->member.clear();
  });
}

TEST(Fingerprint, IgnoresWhatCompilersAndLinkersAdd) {
  const auto key = [](const std::string& function, const std::string& module,
                      const std::string& member) {
    Report report = full_report();
    report.verdict.cause->function = function;
    report.verdict.cause->module = module;
    report.verdict.cause->member = member;
    return fingerprint(report).loose;
  };
  const auto plain = key("f", "/usr/lib/libfoo.so", "items[3].next");
  EXPECT_EQ(key("f.constprop.0", "/lib/libfoo.so.1.2.3", "items[7].next"), plain);
  EXPECT_EQ(key("f.part.1.cold", "libfoo.so", "items[0].next"), plain);
  EXPECT_EQ(key("f [clone .isra.0]", "libfoo.so", "items[12].next"), plain);
  EXPECT_NE(key("g", "libfoo.so", "items[3].next"), plain);
  const auto cgo = key("_cgo_d6b9d4d7ca83_Cfunc_cache", "prog", "");
  EXPECT_EQ(key("_cgo_0123456789ab_Cfunc_cache", "prog", ""), cgo);
  EXPECT_NE(key("_cgo_0123456789ab_Cfunc_other", "prog", ""), cgo);
  EXPECT_EQ(key("_cgoexp_d6b9d4d7ca83_f", "prog", ""), key("_cgoexp_2619886663a1_f", "prog", ""));
  EXPECT_NE(key("_cgoexp_f", "prog", ""), key("_cgoexp_g", "prog", ""));
  EXPECT_EQ(key("app::run::h0123456789abcdef", "prog", ""),
            key("app::run::hfedcba9876543210", "prog", ""));
  EXPECT_EQ(key("app::run::h0123456789abcdef", "prog", ""), key("app::run", "prog", ""));
  EXPECT_NE(key("app::run::hot", "prog", ""), key("app::run", "prog", ""));
}

TEST(Fingerprint, WhichElementItWasDoesNotMatter) {
  Report report = full_report();
  report.verdict.cause->variable = "allp[0]";
  const Fingerprint keys = fingerprint(report);
  report.verdict.cause->variable = "allp[3]";
  EXPECT_EQ(fingerprint(report), keys);
  report.verdict.cause->variable = "allp";
  EXPECT_NE(fingerprint(report).loose, keys.loose);
}

TEST(Fingerprint, WithoutACauseTheLastMainHopCounts) {
  Report report = full_report();
  report.verdict.cause.reset();
  const Fingerprint keys = fingerprint(report);
  report.hops[2].writer.function = "side branch";
  report.hops[2].writer.demangled.clear();
  EXPECT_EQ(fingerprint(report), keys);
  report.hops[1].writer.demangled = "other()";
  EXPECT_NE(fingerprint(report).loose, keys.loose);
}

TEST(Fingerprint, WithoutHopsTheCrashCounts) {
  Report report = minimal_report();
  const Fingerprint keys = fingerprint(report);
  EXPECT_FALSE(keys.loose.empty());
  report.crash.kind = "go_panic";
  EXPECT_NE(fingerprint(report).loose, keys.loose);
}

}  // namespace
}  // namespace culprit::report
