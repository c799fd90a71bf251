#include "x86/stores_into.h"

#include <gtest/gtest.h>

#include <vector>

namespace culprit::x86 {
namespace {

bool stores(std::vector<unsigned char> code, ByteRange watched) {
  Registers before;
  before.rip = 0x401000;
  before[Gpr::rsp] = 0x7000;
  before[Gpr::rdi] = 0x5000;
  before[Gpr::rsi] = 0x6000;
  before[Gpr::rcx] = 4;
  return stores_into(std::as_bytes(std::span(code)), before, watched);
}

constexpr ByteRange kAtRdi{Address{0x5000}, 8};

TEST(StoresInto, TellsStoresFromLoads) {
  EXPECT_TRUE(stores({0x48, 0x89, 0x07}, kAtRdi));        // mov [rdi], rax
  EXPECT_FALSE(stores({0x48, 0x8b, 0x07}, kAtRdi));       // mov rax, [rdi]
  EXPECT_FALSE(stores({0x48, 0x3b, 0x07}, kAtRdi));       // cmp rax, [rdi]
  EXPECT_TRUE(stores({0x48, 0x83, 0x07, 0x00}, kAtRdi));  // add qword ptr [rdi], 0
  EXPECT_FALSE(stores({0x48, 0x8d, 0x07}, kAtRdi));       // lea rax, [rdi]
  EXPECT_TRUE(stores({0xf3, 0x48, 0xa5}, kAtRdi));        // rep movsq to [rdi]
  EXPECT_FALSE(stores({0xf3, 0x48, 0xa5}, ByteRange{Address{0x6000}, 8}));  // ... from [rsi]
  EXPECT_TRUE(stores({0x50}, ByteRange{Address{0x6ff8}, 8}));               // push rax
  EXPECT_FALSE(stores({0x50}, ByteRange{Address{0x7000}, 8}));
}

TEST(StoresInto, LooksAtEachByte) {
  EXPECT_TRUE(stores({0x88, 0x07}, kAtRdi));                               // mov [rdi], al
  EXPECT_FALSE(stores({0x88, 0x47, 0x08}, kAtRdi));                        // mov [rdi+8], al
  EXPECT_TRUE(stores({0x48, 0x89, 0x47, 0xf9}, kAtRdi));                   // mov [rdi-7], rax
  EXPECT_FALSE(stores({0x48, 0x89, 0x47, 0xf8}, kAtRdi));                  // mov [rdi-8], rax
  EXPECT_TRUE(stores({0x0f, 0x11, 0x07}, ByteRange{Address{0x500f}, 1}));  // movups [rdi], xmm0
}

TEST(StoresInto, WhatIsNoInstructionStoresNothing) {
  EXPECT_FALSE(stores({}, kAtRdi));
  EXPECT_FALSE(stores({0x48}, kAtRdi));
  EXPECT_FALSE(stores({0x06}, kAtRdi));
}

}  // namespace
}  // namespace culprit::x86
