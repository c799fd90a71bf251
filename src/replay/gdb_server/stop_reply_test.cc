#include "replay/gdb_server/stop_reply.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace culprit::replay::gdb {
namespace {

TEST(StopReply, TellsAWatchpointsHit) {
  const auto stop = parse_stop_reply("T05thread:p7f64.7f65;watch:4a62e0;");
  ASSERT_TRUE(stop.ok());
  EXPECT_EQ(stop->kind, StopReply::Kind::signal);
  EXPECT_EQ(stop->signal, 5);
  ASSERT_TRUE(stop->thread);
  EXPECT_EQ(stop->thread->process.value, 0x7f64);
  EXPECT_EQ(stop->thread->thread.value, 0x7f65);
  EXPECT_EQ(stop->watch, Address{0x4a62e0});
}

TEST(StopReply, TellsHowAProcessEnded) {
  EXPECT_EQ(parse_stop_reply("W00")->kind, StopReply::Kind::exited);
  EXPECT_EQ(parse_stop_reply("W07;process:1")->code, 7);
  EXPECT_EQ(parse_stop_reply("X0b")->signal, 11);
}

TEST(StopReply, TellsBreakpointsAndTheEndsOfHistory) {
  EXPECT_TRUE(parse_stop_reply("T05swbreak:;thread:p1.1;")->breakpoint);
  EXPECT_EQ(parse_stop_reply("T05replaylog:begin;thread:p1.1;")->history, StopReply::End::begin);
  EXPECT_EQ(parse_stop_reply("S0b")->signal, 11);
}

TEST(StopReply, RejectsOtherTexts) {
  for (const char* text :
       {"", "O", "OK", "E01", "T", "T0", "Tzz", "S05x", "T05thread:1;", "T05watch:xyz;",
        "T05thread", "T05thread:p0.1;", "T05thread:p-1.-1;", "T05thread:p1.fffffffff;"}) {
    EXPECT_FALSE(parse_stop_reply(text).ok()) << text;
  }
}

TEST(StopReply, RandomTextsDoNoHarm) {
  std::mt19937 random(3);
  const std::string letters = "TSWX05thread:p.;watch1f-";
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (unsigned i = 0; i < random() % 40; ++i) text += letters[random() % letters.size()];
    (void)parse_stop_reply(text);
  }
}

}  // namespace
}  // namespace culprit::replay::gdb
