#include "x86/places.h"

#include <gtest/gtest.h>

namespace culprit::x86 {
namespace {

TEST(Places, RegisterBytesHaveTheAssemblersNames) {
  const auto gpr = [](unsigned n, unsigned offset, unsigned size) {
    return to_string(RegisterBytes{RegisterClass::gpr, static_cast<std::uint8_t>(n),
                                   static_cast<std::uint8_t>(offset),
                                   static_cast<std::uint8_t>(size)});
  };
  EXPECT_EQ(gpr(0, 0, 8), "rax");
  EXPECT_EQ(gpr(3, 0, 4), "ebx");
  EXPECT_EQ(gpr(7, 0, 2), "di");
  EXPECT_EQ(gpr(4, 0, 1), "spl");
  EXPECT_EQ(gpr(0, 1, 1), "ah");
  EXPECT_EQ(gpr(9, 0, 4), "r9d");
  EXPECT_EQ(gpr(9, 1, 1), "r9[1:2]");
  EXPECT_EQ(gpr(1, 4, 4), "rcx[4:8]");
  EXPECT_EQ(to_string({RegisterClass::vector, 5, 0, 16}), "xmm5");
  EXPECT_EQ(to_string({RegisterClass::vector, 5, 0, 32}), "ymm5");
  EXPECT_EQ(to_string({RegisterClass::vector, 5, 8, 8}), "xmm5[8:16]");
  EXPECT_EQ(to_string({RegisterClass::vector, 31, 48, 16}), "zmm31[48:64]");
  EXPECT_EQ(to_string({RegisterClass::segment_base, 0, 0, 8}), "fs_base");
}

TEST(Places, ValuesAreCutOutOfTheRegister) {
  Registers r;
  r[Gpr::rax] = 0x1122'3344'5566'7788;
  r.gs_base = 0x42;
  EXPECT_EQ(value_of(whole(Gpr::rax), r), 0x1122'3344'5566'7788U);
  EXPECT_EQ(value_of({RegisterClass::gpr, 0, 1, 1}, r), 0x77U);
  EXPECT_EQ(value_of({RegisterClass::gpr, 0, 4, 4}, r), 0x1122'3344U);
  EXPECT_EQ(value_of({RegisterClass::segment_base, 1, 0, 8}, r), 0x42U);
  EXPECT_EQ(value_of({RegisterClass::vector, 0, 0, 8}, r), std::nullopt);
}

TEST(Places, AddressesFollowTheFormula) {
  Registers r;
  r[Gpr::rbx] = 0x1000;
  r[Gpr::rcx] = 0x10;
  r.fs_base = 0x7000;
  MemOperand m;
  m.base = Gpr::rbx;
  m.index = Gpr::rcx;
  m.scale = 4;
  m.disp = -8;
  EXPECT_EQ(effective_address(m, r), Address{0x1038});
  EXPECT_EQ(to_string(m), "[rbx+rcx*4-0x8]");
  m.segment = Segment::fs;
  EXPECT_EQ(effective_address(m, r), Address{0x8038});
  // 32-bit addresses wrap before the segment's base is added.
  m.address_size = 4;
  r[Gpr::rbx] = 0xffff'ffff'ffff'ffff;
  EXPECT_EQ(effective_address(m, r), Address{0x7000 + 0x37});
  m.no_single_address = true;
  EXPECT_EQ(effective_address(m, r), std::nullopt);
}

TEST(Places, BitOffsetsAreSigned) {
  Registers r;
  r[Gpr::rbx] = 0x1000;
  MemOperand m;
  m.base = Gpr::rbx;
  m.size = 4;
  m.bit_offset = RegisterBytes{RegisterClass::gpr, 1, 0, 4};
  r[Gpr::rcx] = 70;
  EXPECT_EQ(effective_address(m, r), Address{0x1008});
  r[Gpr::rcx] = 0xffff'ffff;  // bit -1
  EXPECT_EQ(effective_address(m, r), Address{0xffc});
}

TEST(Places, OverlapsAreWithinOneRegister) {
  const RegisterBytes ah{RegisterClass::gpr, 0, 1, 1};
  EXPECT_TRUE(whole(Gpr::rax).overlaps(ah));
  EXPECT_FALSE(whole(Gpr::rcx).overlaps(ah));
  EXPECT_FALSE((RegisterBytes{RegisterClass::gpr, 0, 0, 1}.overlaps(ah)));
  EXPECT_FALSE((RegisterBytes{RegisterClass::vector, 0, 0, 8}.overlaps(ah)));
}

}  // namespace
}  // namespace culprit::x86
