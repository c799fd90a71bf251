#include "provenance/whole_parts.h"

#include <gtest/gtest.h>

namespace culprit::provenance {
namespace {

// struct { char buffer[24]; char *cursor; int fd; } conn;
TEST(WholeParts, ACopyOfTheWholeStructIsOne) {
  EXPECT_TRUE(are_whole_parts({"other", "conn.buffer[0]", "conn.fd", ""}));
  EXPECT_TRUE(
      are_whole_parts({"server.id", "server.conn.buffer[0]", "server.conn.fd", "server.next"}));
}

TEST(WholeParts, AnArrayAndSomeOfWhatIsBehindItAreNone) {
  EXPECT_FALSE(are_whole_parts({"other", "conn.buffer[0]", "conn.cursor", "conn.fd"}));
  EXPECT_FALSE(are_whole_parts({"other", "conn.buffer[0]", "conn.cursor", "conn.cursor"}));
  EXPECT_FALSE(are_whole_parts({"conn.kind", "conn.buffer[0]", "conn.fd", ""}))
      << "does not begin where the struct does";
  EXPECT_FALSE(
      are_whole_parts({"server.id", "server.conn.buffer[0]", "server.next", "server.last"}));
}

TEST(WholeParts, ElementsOfAnArrayOfStructsAre) {
  EXPECT_TRUE(are_whole_parts(
      {"t.items[0].size", "t.items[1].name[0]", "t.items[3].size", "t.items[4].name[0]"}));
  EXPECT_TRUE(
      are_whole_parts({"t.items[0].size", "t.items[1].name[0]", "t.items[3].size", "t.count"}));
  EXPECT_FALSE(are_whole_parts(
      {"t.items[0].size", "t.items[1].name[0]", "t.items[3].name[7]", "t.items[3].size"}));
  EXPECT_FALSE(
      are_whole_parts({"t.items[1].id", "t.items[1].name[0]", "t.items[3].size", "t.items[4].id"}));
}

TEST(WholeParts, NamesThatOnlyBeginAlikeAreOthers) {
  EXPECT_TRUE(are_whole_parts({"x", "conn.buffer[0]", "conn.fd", "conn2.buffer[0]"}));
  EXPECT_FALSE(are_whole_parts({"conn.kind", "conn.buffer[0]", "conn2.fd", ""}));
}

TEST(WholeParts, WithoutNamesNothingIsSaid) {
  EXPECT_TRUE(are_whole_parts({"", "", "conn.fd", ""}));
  EXPECT_TRUE(are_whole_parts({"", "conn.buffer[0]", "", ""}));
}

}  // namespace
}  // namespace culprit::provenance
