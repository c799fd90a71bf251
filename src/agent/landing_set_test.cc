#include "agent/landing_set.h"

#include <gtest/gtest.h>

namespace culprit::agent {
namespace {

TEST(LandingSet, TakesUserAddressesOnceUpToItsLimit) {
  LandingSet set;
  EXPECT_TRUE(set.empty());
  EXPECT_FALSE(set.add(0));
  EXPECT_FALSE(set.add(std::uint64_t{1} << 47));
  EXPECT_FALSE(set.add(~std::uint64_t{0}));
  EXPECT_TRUE(set.add(0x401000));
  EXPECT_FALSE(set.add(0x401000));
  for (std::uint64_t i = 1; i < max_landings; ++i) EXPECT_TRUE(set.add(0x401000 + i));
  EXPECT_FALSE(set.add(0x500000));
  EXPECT_EQ(set.size(), max_landings);
  EXPECT_TRUE(set.contains(0x401001));
  EXPECT_FALSE(set.contains(0x500000));
}

TEST(LandingSet, SurvivesItsFile) {
  LandingSet in;
  ASSERT_TRUE(in.add(0x401136));
  ASSERT_TRUE(in.add(0x7ffff7fbc0de));
  EXPECT_EQ(print_landings(in), "v1\n401136\n7ffff7fbc0de\n");
  LandingSet out;
  ASSERT_TRUE(parse_landings(print_landings(in), &out));
  EXPECT_EQ(out, in);
  ASSERT_TRUE(parse_landings("v1\n", &out));
  EXPECT_TRUE(out.empty());
}

TEST(LandingSet, RefusesOtherFiles) {
  LandingSet out;
  for (const char* text :
       {"", "v1", "v2\n401136\n", "v1\n401136", "v1\n0x401136\n", "v1\n\n", "v1\n401136 \n",
        "v1\n401136\n401136\n", "v1\n0\n", "v1\n-1\n", "v1\nffffffffffffffff\n",
        "v1\n10000000000000000\n", "v1\n1\n2\n3\n4\n5\n"}) {
    EXPECT_FALSE(parse_landings(text, &out)) << text;
    EXPECT_TRUE(out.empty()) << text;
  }
}

}  // namespace
}  // namespace culprit::agent
