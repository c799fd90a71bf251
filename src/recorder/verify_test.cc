#include <gtest/gtest.h>

#include "recorder/record.h"

namespace culprit::recorder {
namespace {

TEST(FirstDifference, TheFirstLineThatDiffers) {
  EXPECT_EQ(first_difference("a\nseen 102\nz\n", "a\nseen 2\ny\n"),
            "“seen 2” where the program printed “seen 102”");
  EXPECT_EQ(first_difference("a\nb\n", "a\n"), "nothing where the program printed “b”");
  EXPECT_EQ(first_difference("", "b"), "“b” where the program printed nothing");
  EXPECT_EQ(first_difference("a\n\nb", "a\nb"), "“b” where the program printed “”");
}

TEST(FirstDifference, NoDifference) {
  EXPECT_EQ(first_difference("", ""), "");
  EXPECT_EQ(first_difference("a\nb\n", "a\nb\n"), "");
}

TEST(FirstDifference, WhatAProgramPrintsIsNotObeyed) {
  EXPECT_EQ(first_difference("\x1b]0;x\x07\xff", "ok"), "“ok” where the program printed “?]0;x??”");
  const std::string text = first_difference(std::string(1000, 'x'), "");
  EXPECT_LT(text.size(), 120U);
  EXPECT_NE(text.find("…”"), std::string::npos);
}

}  // namespace
}  // namespace culprit::recorder
