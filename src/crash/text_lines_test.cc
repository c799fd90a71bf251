#include "crash/text_lines.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace culprit::crash {
namespace {

std::vector<std::string> all(std::string_view text) {
  TextLines lines(text);
  std::vector<std::string> found;
  while (const TextLines::Line* line = lines.peek()) {
    found.emplace_back(line->text);
    lines.advance();
  }
  return found;
}

TEST(TextLines, EndsAtAnyLineEnd) {
  EXPECT_EQ(all("a\nb\r\nc\rd"), (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_EQ(all("\n\r\n\n"), (std::vector<std::string>{"", "", ""}));
  EXPECT_TRUE(all("").empty());
}

TEST(TextLines, KnowsOffsetsAndWhetherTheLineIsWhole) {
  TextLines lines("ab\r\ncd");
  ASSERT_NE(lines.peek(1), nullptr);
  EXPECT_EQ(lines.peek(1)->offset, 4U);
  EXPECT_FALSE(lines.peek(1)->complete);
  EXPECT_TRUE(lines.peek(0)->complete);
  EXPECT_EQ(lines.peek(2), nullptr);
  EXPECT_EQ(lines.peek(TextLines::kMaxAhead + 1), nullptr);
}

TEST(LinePrefix, TakesOffTheSameShapeOnly) {
  const LinePrefix prefix("[   55s] ");
  EXPECT_EQ(prefix.strip("[ 4910s] runtime: x"), "runtime: x");
  EXPECT_EQ(prefix.strip("[ 4910m] runtime: x"), "[ 4910m] runtime: x");
  EXPECT_EQ(prefix.strip("[   55s]"), "");
  EXPECT_EQ(prefix.strip("[   5"), "[   5");
  EXPECT_EQ(LinePrefix().strip("x"), "x");
}

TEST(TakeHex, RefusesWhatDoesNotFit) {
  std::string_view text = "0xffffffffffffffff?";
  EXPECT_EQ(take_hex(text), ~std::uint64_t{0});
  EXPECT_EQ(text, "?");
  text = "0x1ffffffffffffffff";
  EXPECT_FALSE(take_hex(text));
  EXPECT_EQ(text.size(), 19U);
  text = "0xg";
  EXPECT_FALSE(take_hex(text));
}

TEST(TakeDecimal, RefusesWhatDoesNotFit) {
  std::string_view text = "18446744073709551615,";
  EXPECT_EQ(take_decimal(text), ~std::uint64_t{0});
  EXPECT_EQ(text, ",");
  text = "18446744073709551616";
  EXPECT_FALSE(take_decimal(text));
  text = "x";
  EXPECT_FALSE(take_decimal(text));
}

TEST(Clip, DoesNotCutInsideACharacter) {
  EXPECT_EQ(clip("a\xe2\x80\xa6z", 3), "a");
  EXPECT_EQ(clip("a\xe2\x80\xa6z", 4), "a\xe2\x80\xa6");
  EXPECT_EQ(clip("abc", 3), "abc");
}

}  // namespace
}  // namespace culprit::crash
