// Golden tests of the text form: testdata/NAME.json is a report, testdata/NAME.COLUMNS.txt what
// must be printed at that width. With CULPRIT_UPDATE_GOLDEN=1 in the environment the texts are
// written instead of compared; read the difference before committing it.
#include "report/text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "report/json.h"
#include "report/sample_reports.h"
#include "report/write.h"

namespace culprit::report {
namespace {

namespace fs = std::filesystem;

fs::path testdata() { return fs::path(CULPRIT_SOURCE_DIR) / "src/report/testdata"; }

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(testdata())) {
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class TextGolden : public testing::TestWithParam<std::string> {};

TEST_P(TextGolden, IsAsExpected) {
  const std::size_t dot = GetParam().rfind('.');
  ASSERT_NE(dot, std::string::npos);
  const auto report = read_report((testdata() / (GetParam().substr(0, dot) + ".json")).string());
  ASSERT_TRUE(report.ok()) << report.error().message;
  TextOptions options;
  options.columns = static_cast<unsigned>(std::stoul(GetParam().substr(dot + 1)));
  const std::string text = to_text(*report, options);
  const fs::path expected = testdata() / (GetParam() + ".txt");
  if (std::getenv("CULPRIT_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(expected, std::ios::binary) << text;
    return;
  }
  EXPECT_EQ(text, read(expected));
}

// Reports on disk are in the form that this version writes: the JSON form is pinned as well.
TEST_P(TextGolden, TheReportIsCanonical) {
  const std::string name = GetParam().substr(0, GetParam().rfind('.'));
  const fs::path path = testdata() / (name + ".json");
  const auto report = read_report(path.string());
  ASSERT_TRUE(report.ok()) << report.error().message;
  if (std::getenv("CULPRIT_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(write_report(*report, path.string()).ok());
    return;
  }
  EXPECT_EQ(to_json_text(*report), read(path));
}

INSTANTIATE_TEST_SUITE_P(Report, TextGolden, testing::ValuesIn(cases()), [](const auto& case_info) {
  std::string name = case_info.param;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
});

TEST(TextGoldenCases, ThereAreSome) { EXPECT_GE(cases().size(), 5U); }

// Columns of the longest line, commands (which are never wrapped) left out.
std::size_t widest(const std::string& text) {
  std::size_t widest = 0;
  const std::size_t commands = text.find("How to go there");
  std::size_t width = 0;
  for (const char c : text.substr(0, commands)) {
    if (c == '\n') {
      width = 0;
    } else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {
      widest = std::max(widest, ++width);
    }
  }
  return widest;
}

TEST(Text, KeepsToTheWidth) {
  for (const Report& report : {full_report(), minimal_report(), hostile_report()}) {
    for (const unsigned columns : {0U, 40U, 72U, 100U, 250U, 100000U}) {
      TextOptions options;
      options.columns = columns;
      options.backtraces = columns == 72;
      const std::string text = to_text(report, options);
      EXPECT_LE(widest(text), std::clamp(columns, 40U, 400U));
      EXPECT_TRUE(text.ends_with('\n'));
      EXPECT_FALSE(text.ends_with("\n\n"));
    }
  }
}

TEST(Text, HostileStringsAreInert) {
  const std::string text = to_text(hostile_report());
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\r'), std::string::npos);
  EXPECT_EQ(text.find('\0'), std::string::npos);
  EXPECT_EQ(text.find("\xe2\x80\xae"), std::string::npos);
  EXPECT_LT(text.size(), 4U << 20);
  EXPECT_EQ(nlohmann::json(text).dump().empty(), false);  // throws on invalid UTF-8
}

// With colours, every escape sequence is one of ours, and taking them off gives the plain text.
TEST(Text, ColourChangesNothingElse) {
  for (const Report& report : {full_report(), hostile_report()}) {
    TextOptions options;
    options.colour = true;
    const std::string coloured = to_text(report, options);
    std::string plain;
    std::size_t sequences = 0;
    for (std::size_t i = 0; i < coloured.size(); ++i) {
      if (coloured[i] != '\x1b') {
        plain.push_back(coloured[i]);
        continue;
      }
      ASSERT_EQ(coloured[i + 1], '[');
      const std::size_t end = coloured.find('m', i);
      ASSERT_LE(end - i, 6U);
      ASSERT_EQ(coloured.substr(i + 2, end - i - 2).find_first_not_of("0123456789;"),
                std::string::npos);
      i = end;
      ++sequences;
    }
    EXPECT_GT(sequences, 10U);
    EXPECT_EQ(plain, to_text(report));
  }
}

TEST(Text, SaysWhyAChainIsIncomplete) {
  Report report = full_report();
  report.verdict.stopped_because = StopReason::limit_reached;
  report.verdict.stopped_detail = "--max-hops 3";
  const std::string text = to_text(report);
  EXPECT_NE(text.find("The chain is incomplete: a limit was reached (limit_reached): --max-hops 3"),
            std::string::npos);
  EXPECT_EQ(to_text(full_report()).find("incomplete"), std::string::npos);
}

TEST(Text, ShowsBacktracesWhenAsked) {
  TextOptions options;
  options.backtraces = true;
  EXPECT_NE(to_text(full_report(), options).find("[goroutine 18]"), std::string::npos);
}

}  // namespace
}  // namespace culprit::report
