#include "report/sanitize.h"

#include <gtest/gtest.h>

#include <string>

namespace culprit::report {
namespace {

TEST(Sanitize, LeavesHarmlessTextAlone) {
  for (const char* text :
       {"", "plain", "naïve 漢字 🦀 ←", "back\\slash \\x41", "main.(*T[...]).f"}) {
    EXPECT_EQ(sanitize(text, 1000), text);
  }
}

TEST(Sanitize, EscapesControlsAndInvalidBytes) {
  EXPECT_EQ(sanitize("\x1b[2J\x07\x7f", 100), "\\x1b[2J\\x07\\x7f");
  EXPECT_EQ(sanitize(std::string("a\0b", 3), 100), "a\\x00b");
  EXPECT_EQ(sanitize("\xff|\xc3(|\xe2\x82", 100), "\\xff|\\xc3(|\\xe2\\x82");
  EXPECT_EQ(sanitize("\xc0\xaf", 100), "\\xc0\\xaf");           // overlong
  EXPECT_EQ(sanitize("\xed\xa0\x80", 100), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(sanitize("\xf4\x90\x80\x80", 100), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(sanitize("\xc2\x9b", 100), "\\u{009b}");  // CSI in one character
  EXPECT_EQ(sanitize("a\xe2\x80\xae"
                     "b\xe2\x80\xa8\xef\xbb\xbf",
                     100),
            "a\\u{202e}b\\u{2028}\\u{feff}");
}

TEST(Sanitize, KeepsLinesOnlyWhereAsked) {
  EXPECT_EQ(sanitize("a\n\tb\r", 100), "a\\x0a\\x09b\\x0d");
  EXPECT_EQ(sanitize("a\n\tb\r", 100, Lines::many), "a\n\tb\\x0d");
  EXPECT_EQ(sanitize("a\n\tb\r", 100, Lines::code), "a\\x0a\tb\\x0d");
}

TEST(Sanitize, CutsAtACharacterAndSaysSo) {
  EXPECT_EQ(sanitize("0123456789abcdef", 16), "0123456789abcdef");
  EXPECT_EQ(sanitize("0123456789abcdefg", 16), "0123456789abc…");
  EXPECT_EQ(sanitize("0123456789ab\xe2\x82\xac\xe2\x82\xac", 16), "0123456789ab…");
  EXPECT_EQ(sanitize(std::string(10 << 20, '\x1b'), 16), "\\x1b\\x1b\\x1b…");
}

TEST(Sanitize, TwiceIsOnce) {
  std::uint64_t random = 88172645463325252U;
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 40; ++i) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      text.push_back(static_cast<char>(random >> 13));
    }
    for (const std::size_t limit : {16U, 23U, 64U, 4096U}) {
      const std::string once = sanitize(text, limit, Lines::many);
      EXPECT_LE(once.size(), limit);
      EXPECT_EQ(sanitize(once, limit, Lines::many), once);
    }
  }
}

}  // namespace
}  // namespace culprit::report
