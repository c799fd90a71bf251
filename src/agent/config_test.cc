#include "agent/config.h"

#include <gtest/gtest.h>

namespace culprit::agent {
namespace {

TEST(AgentConfig, SurvivesEncoding) {
  AgentConfig in;
  in.mode = AgentConfig::Mode::record;
  in.ticks = AgentConfig::Ticks::hardware;
  in.report_fd = 7;
  in.control_fd = 12;
  in.library_fd = 9;
  in.hold_ms = 100;
  in.starve_ms = 60'000;
  in.learn_ms = 300;
  in.fixed_addresses = true;
  ASSERT_TRUE(in.landings.add(0x401136) && in.landings.add(0x7ffff7fbc0de));
  in.user_preload = std::string("/a b;c=d:\xff\n");
  in.user_config = "v1;mode=replay";
  const std::optional<AgentConfig> out = decode(encode(in));
  ASSERT_TRUE(out.has_value());
  EXPECT_EQ(out->mode, in.mode);
  EXPECT_EQ(out->ticks, in.ticks);
  EXPECT_EQ(out->report_fd, 7);
  EXPECT_EQ(out->control_fd, 12);
  EXPECT_EQ(out->library_fd, 9);
  EXPECT_EQ(out->hold_ms, 100u);
  EXPECT_EQ(out->starve_ms, 60'000u);
  EXPECT_EQ(out->learn_ms, 300u);
  EXPECT_TRUE(out->fixed_addresses);
  EXPECT_EQ(out->landings, in.landings);
  EXPECT_EQ(out->user_preload, in.user_preload);
  EXPECT_EQ(out->user_config, in.user_config);
}

TEST(AgentConfig, CountsInSoftwareUnlessItIsTold) {
  EXPECT_EQ(AgentConfig{}.ticks, AgentConfig::Ticks::software);
  const std::optional<AgentConfig> silent = decode("v1;mode=replay");
  ASSERT_TRUE(silent.has_value());
  EXPECT_EQ(silent->ticks, AgentConfig::Ticks::software);
}

TEST(AgentConfig, CountsExactlyWithinALimit) {
  AgentConfig in;
  in.mode = AgentConfig::Mode::record;
  in.ticks = AgentConfig::Ticks::exact;
  in.most_steps = 5'000'000'000;
  const std::optional<AgentConfig> out = decode(encode(in));
  ASSERT_TRUE(out.has_value());
  EXPECT_EQ(out->ticks, AgentConfig::Ticks::exact);
  EXPECT_EQ(out->most_steps, 5'000'000'000u);
}

TEST(AgentConfig, TellsEmptyFromAbsent) {
  AgentConfig in;
  in.user_preload = "";
  const std::optional<AgentConfig> out = decode(encode(in));
  ASSERT_TRUE(out.has_value());
  EXPECT_EQ(out->user_preload, "");
  EXPECT_FALSE(out->user_config.has_value());
}

TEST(AgentConfig, RejectsWhatItDidNotWrite) {
  for (const char* text :
       {"", "v1", "v2;mode=record", "mode=record", "v1;mode=both",
        "v1;mode=replay;ticks=", "v1;mode=replay;ticks=exactly",
        "v1;mode=record;ticks=exact;steps=-1", "v1;mode=record;report=x",
        "v1;mode=record;preload=abc", "v1;mode=record;preload=zz", "v1;mode=record;hold_ms=-1",
        "v1;mode=record;hold_ms=99999999999", "v1;mode=record;report"}) {
    EXPECT_FALSE(decode(text).has_value()) << text;
  }
}

TEST(AgentConfig, IgnoresUnknownKeys) {
  const std::optional<AgentConfig> out = decode("v1;mode=record;color=blue;report=3");
  ASSERT_TRUE(out.has_value());
  EXPECT_EQ(out->report_fd, 3);
}

}  // namespace
}  // namespace culprit::agent
