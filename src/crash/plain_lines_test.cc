#include "crash/plain_lines.h"

#include <gtest/gtest.h>

#include <string>

namespace culprit::crash {
namespace {

std::string shown(std::string_view text) {
  std::string buffer;
  return std::string(plain(text, buffer));
}

TEST(Plain, TakesEscapeSequencesOut) {
  EXPECT_EQ(shown("abc"), "abc");
  EXPECT_EQ(shown("\x1b[1m\x1b[31m==1==\x1b[0m x"), "==1== x");
  EXPECT_EQ(shown("a\x1b]8;;http://x\x1b\\b"), "ab");
  EXPECT_EQ(shown("a\x1b]0;title\ab"), "ab");
  EXPECT_EQ(shown("a\x1b"), "a");
  EXPECT_EQ(shown("a\x1b["), "a");
  EXPECT_EQ(shown("a\x1b]never ended"), "anever ended");
  EXPECT_EQ(shown(std::string(20000, 'x')).size(), PlainLines::kMaxLine);
}

TEST(PlainLines, TakesThePrefixOffTheLinesThatFollow) {
  PlainLines lines("[ 9s] BUG: x\n[10s] more\nother\n[11s]\n");
  ASSERT_NE(lines.current(), nullptr);
  lines.begins_at(6);
  EXPECT_EQ(lines.current()->text, "BUG: x");
  ASSERT_NE(lines.following(), nullptr);
  EXPECT_EQ(lines.following()->text, "more");
  lines.advance();
  EXPECT_EQ(lines.current()->text, "more");
  EXPECT_EQ(lines.current()->offset, 13U);
  lines.advance();
  EXPECT_EQ(lines.current()->text, "other");
  lines.advance();
  EXPECT_EQ(lines.current()->text, "");
  lines.advance();
  EXPECT_EQ(lines.current(), nullptr);
}

TEST(PlainLines, JoinsWhatWasFolded) {
  PlainLines lines("BUG: (a\nb\n  c)\nnext\n");
  const auto open = [](std::string_view t) { return t.find(')') == std::string_view::npos; };
  EXPECT_EQ(lines.unfold(open, [](std::string_view) { return false; }), "BUG: (a b c)");
  EXPECT_EQ(lines.current()->text, "next");
  PlainLines stopped("BUG: (a\nEND\n");
  EXPECT_EQ(stopped.unfold(open, [](std::string_view t) { return t == "END"; }), "BUG: (a");
  EXPECT_EQ(stopped.current()->text, "END");
}

TEST(RecentLines, JoinsTheLast) {
  RecentLines recent;
  EXPECT_FALSE(recent.last(1));
  PlainLines::Line line{" a ", 5, true};
  recent.push(line);
  recent.push({"b", 9, true});
  EXPECT_EQ(recent.last(1)->text, "b");
  EXPECT_EQ(recent.last(2)->text, "a b");
  EXPECT_EQ(recent.last(2)->offset, 5U);
  EXPECT_FALSE(recent.last(3));
  EXPECT_FALSE(recent.last(0));
}

}  // namespace
}  // namespace culprit::crash
