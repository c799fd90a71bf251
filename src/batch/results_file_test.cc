#include "batch/results_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"

namespace culprit::batch {
namespace {

namespace fs = std::filesystem;

CaseResult result(const std::string& id) {
  CaseResult one;
  one.id = id;
  one.name = "./prog \x1b[31m\xff";
  one.outcome = Outcome::incomplete;
  one.exit_code = 3;
  one.seconds = 1.5;
  one.report = "reports/x.json";
  one.bug_class = "use_after_free";
  one.key = "1s-0";
  one.detail = "two\nlines";
  return one;
}

void add(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::app) << text;
}

TEST(Result, ALineComesBack) {
  const std::string line = to_line(result("a"));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  const auto back = from_line(line);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(to_line(*back), line);
  EXPECT_EQ(back->outcome, Outcome::incomplete);
  EXPECT_EQ(back->exit_code, 3);
  EXPECT_EQ(back->bug_class, "use_after_free");
}

TEST(Result, EachOutcomeComesBack) {
  for (int i = 0; i <= static_cast<int>(Outcome::failed); ++i) {
    CaseResult one = result("a");
    one.outcome = static_cast<Outcome>(i);
    const auto back = from_line(to_line(one));
    ASSERT_TRUE(back.ok()) << i;
    EXPECT_EQ(back->outcome, one.outcome);
  }
}

TEST(Result, BadLinesAreErrors) {
  const std::string good = to_line(result("a"));
  for (std::size_t length = 0; length + 2 < good.size(); ++length) {
    EXPECT_FALSE(from_line(good.substr(0, length)).ok()) << length;
  }
  for (const char* text : {"", "[]", "7", "null", R"({"id":7,"outcome":"failed"})",
                           R"({"id":"a","outcome":"great"})", R"({"outcome":"failed"})"}) {
    EXPECT_FALSE(from_line(text).ok()) << text;
  }
  // Wrong types of members that do not matter are read as missing.
  EXPECT_TRUE(from_line(R"({"id":"a","outcome":"failed","seconds":"x","exit_code":[]})").ok());
}

TEST(ResultsFile, ATornLastLineIsNoResultAndIsCutOff) {
  auto scratch = TemporaryDirectory::create("culprit-test-");
  ASSERT_TRUE(scratch.ok());
  const fs::path path = scratch->path() / "results.jsonl";
  for (const char* id : {"a", "b"}) {
    auto file = ResultsFile::open(path);
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_TRUE(file->append(result(id)).ok());
  }
  const std::string whole = *read_file(path, 1 << 20);
  const std::string line = to_line(result("c"));
  for (const std::size_t length : {std::size_t{1}, line.size() / 2, line.size() - 1}) {
    add(path, line.substr(0, length));
    const auto earlier = read_results(scratch->path());
    ASSERT_TRUE(earlier.ok());
    EXPECT_EQ(earlier->by_id.size(), 2U);
    EXPECT_TRUE(earlier->unreadable.empty());
    ASSERT_TRUE(ResultsFile::open(path).ok());
    EXPECT_EQ(*read_file(path, 1 << 20), whole);
  }
}

TEST(ResultsFile, ATornLineLongerThanOneReadIsCutOff) {
  auto scratch = TemporaryDirectory::create("culprit-test-");
  ASSERT_TRUE(scratch.ok());
  const fs::path path = scratch->path() / "results.jsonl";
  add(path, "{}\n" + std::string(200'000, 'x'));
  ASSERT_TRUE(ResultsFile::open(path).ok());
  EXPECT_EQ(*read_file(path, 1 << 20), "{}\n");
  add(scratch->path() / "other", std::string(200'000, 'x'));
  ASSERT_TRUE(ResultsFile::open(scratch->path() / "other").ok());
  EXPECT_EQ(fs::file_size(scratch->path() / "other"), 0U);
}

TEST(ResultsFile, BadLinesInTheMiddleAreToldAndTheRestIsRead) {
  auto scratch = TemporaryDirectory::create("culprit-test-");
  ASSERT_TRUE(scratch.ok());
  add(scratch->path() / "results.jsonl", to_line(result("a")) + "garbage\n" + to_line(result("b")));
  CaseResult again = result("a");
  again.outcome = Outcome::complete;
  add(scratch->path() / "results-2-of-3.jsonl", to_line(result("c")) + to_line(again));
  add(scratch->path() / "notes.jsonl", to_line(result("d")));
  const auto earlier = read_results(scratch->path());
  ASSERT_TRUE(earlier.ok());
  EXPECT_EQ(earlier->by_id.size(), 3U);
  EXPECT_EQ(earlier->unreadable.size(), 1U);
  EXPECT_NE(earlier->unreadable[0].find("results.jsonl: line 2: "), std::string::npos);
}

TEST(ResultsFile, OneWriterAtATime) {
  auto scratch = TemporaryDirectory::create("culprit-test-");
  ASSERT_TRUE(scratch.ok());
  const fs::path path = scratch->path() / "results.jsonl";
  auto first = ResultsFile::open(path);
  ASSERT_TRUE(first.ok());
  const auto second = ResultsFile::open(path);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::usage);
}

TEST(ResultsFile, AFullDiskIsAnErrorAndLeavesWholeLines) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  auto full = ResultsFile::open("/dev/full");
  // Some kernels refuse to cut a device already when it is opened.
  if (!full.ok()) return;
  EXPECT_EQ(full->append(result("a")).error().code, ErrorCode::io);
}

TEST(ResultsFile, EachShardHasItsOwn) {
  EXPECT_EQ(results_name(Shard{1, 1}), "results.jsonl");
  EXPECT_EQ(results_name(Shard{2, 8}), "results-2-of-8.jsonl");
}

}  // namespace
}  // namespace culprit::batch
