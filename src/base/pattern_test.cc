#include "base/pattern.h"

#include <gtest/gtest.h>

#include <string>

namespace culprit {
namespace {

TEST(Pattern, FindsInBytes) {
  const auto pattern = Pattern::compile("^Corruption! pb.* = [0-9]+$");
  ASSERT_TRUE(pattern.ok());
  EXPECT_TRUE(pattern->found_in("Loop 1\nCorruption! pb, page->b = 102\nend"));
  EXPECT_FALSE(pattern->found_in("no Corruption! pb = 102 at the start"));
  EXPECT_TRUE(Pattern::compile("\\x00\\xff")->found_in(std::string_view("a\0\xff", 3)));
  EXPECT_TRUE(Pattern::compile("é")->found_in("caf\xc3\xa9"));
  EXPECT_TRUE(Pattern::compile("")->found_in(""));
}

TEST(Pattern, RefusesWhatIsNone) {
  for (const char* text : {"(", "a{100000}", "(a)\\1", "[z-a]", "*", "a)(b"}) {
    const auto pattern = Pattern::compile(text);
    ASSERT_FALSE(pattern.ok()) << text;
    EXPECT_EQ(pattern.error().code, ErrorCode::usage);
  }
  EXPECT_FALSE(Pattern::compile(std::string(5000, 'a')).ok());
}

TEST(Pattern, HostileTextTakesLinearTime) {
  const auto pattern = Pattern::compile("(a*)*(a|aa)+b(x+x+)+y");
  ASSERT_TRUE(pattern.ok());
  EXPECT_FALSE(pattern->found_in(std::string(1 << 20, 'a') + std::string(1 << 20, 'x')));
  // Deeply nested: refused or searched, but no crash.
  const auto nested = Pattern::compile(std::string(2000, '(') + std::string(2000, ')'));
  if (nested.ok()) {
    EXPECT_TRUE(nested->found_in("a"));
  }
}

}  // namespace
}  // namespace culprit
