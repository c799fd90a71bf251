#include "recorder/engine_probe.h"

#include <gtest/gtest.h>

namespace culprit::recorder {
namespace {

TEST(RrVersion, IsReadFromWhatReleasesAndForksPrint) {
  const auto debian = parse_rr_version("rr version 5.6.0\n");
  ASSERT_TRUE(debian);
  EXPECT_TRUE(debian->supported());
  EXPECT_TRUE(debian->tested());
  const auto wheel = parse_rr_version("rr version 5.10.0 (Karellen, Inc. .post21 c145f2f8)\n");
  ASSERT_TRUE(wheel);
  EXPECT_EQ(wheel->minor, 10);
  EXPECT_EQ(wheel->version_text, "5.10.0");
  EXPECT_TRUE(wheel->tested());
  const auto between = parse_rr_version("rr version 5.7.0-12-gabcdef");
  ASSERT_TRUE(between);
  EXPECT_TRUE(between->supported());
  EXPECT_FALSE(between->tested());
}

TEST(RrSoft, IsToldByItsOption) {
  const char head[] = "Syntax: rr record [OPTION]... <exe> [exe-args]...\n";
  EXPECT_TRUE(offers_software_counters(std::string(head) + "  -W, --software-counters  count\n"));
  EXPECT_TRUE(offers_software_counters("  -W"));
  EXPECT_FALSE(offers_software_counters(std::string(head) +
                                        "  -w, --wait                 Wait for all child\n"
                                        "  -Wall is no option here\n  text with -W, in it\n"));
  EXPECT_FALSE(offers_software_counters(""));
}

}  // namespace
}  // namespace culprit::recorder
