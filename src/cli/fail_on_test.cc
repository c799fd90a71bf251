#include "cli/fail_on.h"

#include <gtest/gtest.h>

#include "report/fingerprint.h"

namespace culprit::cli {
namespace {

report::Report report_of(report::BugClass bug_class, report::Confidence confidence) {
  report::Report report;
  report.verdict.bug_class = bug_class;
  report.verdict.confidence = confidence;
  report.verdict.cause = report::CauseSite{};
  report.verdict.cause->function = "f";
  return report;
}

bool counts(std::string_view fail_on, const report::Report& report,
            const report::Baseline* baseline = nullptr) {
  const auto parsed = parse_fail_on(fail_on);
  EXPECT_TRUE(parsed.ok()) << fail_on;
  return parsed.ok() && judge(*parsed, report, baseline).counts;
}

TEST(FailOn, ATableOfReports) {
  using report::BugClass;
  using report::Confidence;
  const auto proved = report_of(BugClass::use_after_free, Confidence::proved);
  const auto likely = report_of(BugClass::use_after_free, Confidence::likely);
  const auto open = report_of(BugClass::unknown, Confidence::unknown);
  struct Row {
    const char* fail_on;
    bool proved, likely, open;
  };
  for (const Row& row : {
           Row{"test", true, true, true},
           Row{"never", false, false, false},
           Row{"proved", true, false, false},
           Row{"likely", true, true, false},
           Row{"use_after_free", true, true, false},
           Row{"double_free", false, false, false},
           Row{"double_free,use_after_free", true, true, false},
           Row{"double_free,proved", true, false, false},
           Row{"proved,unknown", true, false, true},
       }) {
    EXPECT_EQ(counts(row.fail_on, proved), row.proved) << row.fail_on;
    EXPECT_EQ(counts(row.fail_on, likely), row.likely) << row.fail_on;
    EXPECT_EQ(counts(row.fail_on, open), row.open) << row.fail_on;
  }
}

TEST(FailOn, NewCauses) {
  const auto report = report_of(report::BugClass::double_free, report::Confidence::likely);
  report::Baseline with;
  ASSERT_TRUE(with.add_text(report::fingerprint(report).strict).ok());
  const report::Baseline without;
  EXPECT_FALSE(counts("new", report, &with));
  EXPECT_TRUE(counts("new", report, &without));
  EXPECT_TRUE(counts("new,double_free", report, &with));
  const auto known = judge(*parse_fail_on("test"), report, &with);
  EXPECT_EQ(known.known, std::optional(true));
  EXPECT_EQ(known.bug_class, "double_free");
  EXPECT_EQ(judge(*parse_fail_on("test"), report, nullptr).known, std::nullopt);
}

TEST(FailOn, WrongWordsAreRefused) {
  for (const char* text : {"", ",", "proved,", "Proved", "use_after", "test,proved", "new,never",
                           "never,test", " proved", "\x1b"}) {
    const auto parsed = parse_fail_on(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::usage);
    EXPECT_EQ(parsed.error().message.find('\x1b'), std::string::npos);
  }
}

TEST(FailOn, EachClassIsAWord) {
  for (const std::string_view word : FailOn::words()) {
    EXPECT_TRUE(parse_fail_on(word).ok()) << word;
  }
}

}  // namespace
}  // namespace culprit::cli
