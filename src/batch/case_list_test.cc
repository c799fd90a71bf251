#include "batch/case_list.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <set>

#include "base/file.h"
#include "base/subprocess.h"

namespace culprit::batch {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

void write(const fs::path& path, const std::string& text, bool program = false) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
  if (program) ::chmod(path.c_str(), 0755);
}

// The shell is the judge: it splits the same line, and prints each word with an end mark.
TEST(SplitWords, SplitsAsAShellDoes) {
  for (const char* line : {
           "a b  c",
           "  ./prog --seed 7 ",
           "'a b' \"c d\" e\\ f",
           "a'b'\"c\"d",
           "'' \"\" x",
           R"("a\"b" "c\\d" "\$x" "e\nf")",
           R"(a\'b \# \\ \")",
           "a#b # a comment 'with a quote",
           "x='1 2' -D\"A B\"=3",
           "\tx\ty",
           "'it'\\''s'",
       }) {
    const Result<Words> words = split_words(line);
    ASSERT_TRUE(words.ok()) << line << ": " << words.error().message;
    ProcessOptions options;
    options.argv = {"/bin/sh", "-c",
                    "set -f; eval \"set -- $1\"; for w; do printf '%s|' \"$w\"; done", "sh",
                    std::string(line)};
    const auto shell = run_process(options, std::chrono::seconds(60));
    ASSERT_TRUE(shell.ok());
    std::string ours;
    for (const std::string& word : *words) ours += word + "|";
    EXPECT_EQ(ours, shell->out.text) << line;
  }
}

TEST(SplitWords, RefusesWhatOnlyAShellCanDo) {
  for (const char* line : {"a 'b", "a \"b", "a \\", "a | b", "a < b", "a > b", "a; b", "a & b",
                           "$HOME/x", "`x`", "\"$x\"", "(a)"}) {
    EXPECT_FALSE(split_words(line).ok()) << line;
  }
  EXPECT_FALSE(split_words(std::string_view("a\0b", 3)).ok());
  EXPECT_FALSE(split_words(std::string(kMaxLineBytes + 1, 'x')).ok());
}

TEST(CaseList, LinesCommentsAndRecordings) {
  auto scratch = TemporaryDirectory::create("culprit-test-");
  ASSERT_TRUE(scratch.ok());
  const fs::path trace = scratch->path() / "t-0";
  write(trace / "version", "85\n");
  write(trace / "events", "");
  const auto cases = parse_case_list("# all\n\n./a 1\r\n" + trace.string() + "\n./a 1 # again\n" +
                                     trace.string() + " more");
  ASSERT_TRUE(cases.ok()) << cases.error().message;
  ASSERT_EQ(cases->size(), 4U);
  EXPECT_EQ((*cases)[0].words, (Words{"./a", "1"}));
  EXPECT_EQ((*cases)[1].kind, Case::Kind::trace);
  EXPECT_EQ((*cases)[2].words, (Words{"./a", "1"}));
  EXPECT_EQ((*cases)[3].kind, Case::Kind::command);

  const auto bad = parse_case_list("a\nb\nc 'd\n");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().message, "line 3: a ' is not closed");
  EXPECT_FALSE(parse_case_list("'' x\n").ok());
}

TEST(CaseList, IdsAreOfTheWordsAndNotOfThePlace) {
  auto first = parse_case_list("a b\nc\na b\n'a b'\n");
  auto second = parse_case_list("new\nc\na   b\n\"a b\"\na b\n");
  ASSERT_TRUE(first.ok() && second.ok());
  number_cases(*first);
  number_cases(*second);
  std::set<std::string> ids;
  for (const Case& one : *first) {
    EXPECT_EQ(one.id.size(), 32U);
    ids.insert(one.id);
  }
  EXPECT_EQ(ids.size(), 4U);
  EXPECT_EQ((*first)[0].id, (*second)[2].id);
  EXPECT_EQ((*first)[1].id, (*second)[1].id);
  EXPECT_EQ((*first)[2].id, (*second)[4].id);
  EXPECT_EQ((*first)[3].id, (*second)[3].id);
}

TEST(FindCases, ProgramsAndRecordingsInOrder) {
  auto scratch = TemporaryDirectory::create("culprit-test-");
  ASSERT_TRUE(scratch.ok());
  const fs::path top = scratch->path();
  write(top / "b", "#!/bin/sh\n", true);
  write(top / "sub/a", "#!/bin/sh\n", true);
  write(top / "sub/notes.txt", "no program");
  write(top / "sub/trace/version", "85\n");
  write(top / "sub/trace/events", "");
  write(top / "sub/trace/mmap_hardlink_0_x", "", true);
  write(top / "out/traces/x", "", true);
  fs::create_directory_symlink(top, top / "loop");
  const auto cases = find_cases(top, top / "out");
  ASSERT_TRUE(cases.ok()) << cases.error().message;
  ASSERT_EQ(cases->size(), 3U);
  EXPECT_EQ((*cases)[0].words, Words{(top / "b").string()});
  EXPECT_EQ((*cases)[1].words, Words{(top / "sub/a").string()});
  EXPECT_EQ((*cases)[2].words, Words{(top / "sub/trace").string()});
  EXPECT_EQ((*cases)[2].kind, Case::Kind::trace);

  const auto one = find_cases(top / "sub/trace/", top / "out");
  ASSERT_TRUE(one.ok());
  ASSERT_EQ(one->size(), 1U);
  EXPECT_EQ(one->front().kind, Case::Kind::trace);
  EXPECT_FALSE(find_cases(top / "none", top / "out").ok());
}

}  // namespace
}  // namespace culprit::batch
