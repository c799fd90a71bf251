#include "cli/moment_options.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace culprit::cli {
namespace {

std::string all_registers() {
  std::string out;
  for (const char* name : {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9",
                           "r10", "r11", "r12", "r13", "r14", "r15"}) {
    if (!out.empty()) out += ",";
    out += std::string(name) + "=0x1";
    const char second = name[1];
    if (std::string_view("0123456789abcdef").find(second) != std::string_view::npos) out += second;
  }
  return out;
}

MomentFlags whole() {
  MomentFlags flags;
  flags.event = 101;
  flags.thread = 4711;
  flags.pc = "0x401180";
  return flags;
}

TEST(MomentOptions, NoneIsNoMoment) {
  const auto moment = MomentFlags{}.moment();
  ASSERT_TRUE(moment.ok());
  EXPECT_FALSE(moment->has_value());
}

TEST(MomentOptions, WholeMoment) {
  MomentFlags flags = whole();
  flags.hit = 3;
  flags.registers = all_registers();
  const auto moment = flags.moment();
  ASSERT_TRUE(moment.ok()) << moment.error().message;
  ASSERT_TRUE(moment->has_value());
  EXPECT_EQ((*moment)->event.value, 101);
  EXPECT_EQ((*moment)->thread.value, 4711);
  EXPECT_EQ((*moment)->pc.value, 0x401180U);
  EXPECT_EQ((*moment)->hit, 3U);
  ASSERT_TRUE((*moment)->registers.has_value());
  // By the encoding of x86, not by the order of the text: rbx is number 3.
  EXPECT_EQ((*(*moment)->registers)[0], 0x1aU);
  EXPECT_EQ((*(*moment)->registers)[3], 0x1bU);
  EXPECT_EQ((*(*moment)->registers)[8], 0x18U);
}

TEST(MomentOptions, PartsAreRefused) {
  for (int left_out = 0; left_out < 3; ++left_out) {
    MomentFlags flags = whole();
    if (left_out == 0) flags.event = 0;
    if (left_out == 1) flags.thread = 0;
    if (left_out == 2) flags.pc.clear();
    const auto moment = flags.moment();
    ASSERT_FALSE(moment.ok());
    EXPECT_EQ(moment.error().code, ErrorCode::usage);
  }
  MomentFlags alone;
  alone.registers = all_registers();
  EXPECT_FALSE(alone.moment().ok());
}

TEST(MomentOptions, MalformedRegistersAreRefused) {
  for (const std::string& text :
       {std::string("rax=0x1"), all_registers() + ",rax=0x1", all_registers() + ",rip=0x1",
        std::string("rax"), std::string("=0x1"), std::string(",,,"), all_registers() + "g",
        std::string(100'000, 'r')}) {
    MomentFlags flags = whole();
    flags.registers = text;
    const auto moment = flags.moment();
    ASSERT_FALSE(moment.ok()) << text.substr(0, 80);
    EXPECT_EQ(moment.error().code, ErrorCode::usage);
    EXPECT_LT(moment.error().message.size(), 300U);
  }
}

}  // namespace
}  // namespace culprit::cli
