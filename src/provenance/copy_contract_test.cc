#include "provenance/copy_contract.h"

#include <gtest/gtest.h>

namespace culprit::provenance {
namespace {

Registers call(std::uint64_t rdi, std::uint64_t rsi, std::uint64_t rdx) {
  Registers out;
  out[Gpr::rdi] = rdi;
  out[Gpr::rsi] = rsi;
  out[Gpr::rdx] = rdx;
  return out;
}

TEST(CopyContract, KnowsTheNamesThatGlibcGivesItsImplementations) {
  for (const char* name :
       {"memcpy", "memmove", "mempcpy", "__memcpy_avx512_unaligned_erms", "__memmove_avx_unaligned",
        "__GI_memcpy", "__memcpy_chk", "__memcpy_sse2_unaligned_erms",
        "__mempcpy_chk_avx512_no_vzeroupper", "__memmove_evex_unaligned_erms", "__memcpy_generic",
        "strncpy", "__strncpy_avx2"}) {
    const auto contract = copy_contract(name);
    ASSERT_TRUE(contract) << name;
    EXPECT_EQ(contract->destination, Gpr::rdi) << name;
    EXPECT_EQ(contract->source, Gpr::rsi) << name;
    EXPECT_EQ(contract->size, Gpr::rdx) << name;
  }
  for (const char* name : {"strcpy", "stpcpy", "__strcpy_avx2", "__strcpy_chk", "__stpcpy_evex"}) {
    const auto contract = copy_contract(name);
    ASSERT_TRUE(contract) << name;
    EXPECT_FALSE(contract->size) << name;
  }
  const auto swapped = copy_contract("bcopy");
  ASSERT_TRUE(swapped);
  EXPECT_EQ(swapped->destination, Gpr::rsi);
  EXPECT_EQ(swapped->source, Gpr::rdi);
}

TEST(CopyContract, DoesNotTakeOtherFunctionsForCopies) {
  for (const char* name :
       {"", "memcpy_swapped", "memcpyx", "my_memcpy", "strcat", "memset", "wmemcpy",
        "strcpy_and_trim", "memccpy", "__memset_avx2_unaligned", "stpcpy2"}) {
    EXPECT_FALSE(copy_contract(name)) << name;
  }
}

TEST(CopyContract, TheSourceIsAsFarIntoItsBlockAsTheStoreIntoItsOwn) {
  const CopyContract contract{Gpr::rdi, Gpr::rsi, Gpr::rdx};
  const Registers entry = call(0x10000, 0x80000, 100);
  EXPECT_EQ(copied_from(contract, entry, ByteRange{Address{0x10000}, 8}), Address{0x80000});
  EXPECT_EQ(copied_from(contract, entry, ByteRange{Address{0x10000 + 92}, 8}),
            Address{0x80000 + 92});
}

TEST(CopyContract, NothingOutsideOfTheCopy) {
  const CopyContract contract{Gpr::rdi, Gpr::rsi, Gpr::rdx};
  const Registers entry = call(0x10000, 0x80000, 100);
  EXPECT_FALSE(copied_from(contract, entry, ByteRange{Address{0x10000 + 93}, 8}));
  EXPECT_FALSE(copied_from(contract, entry, ByteRange{Address{0x10000 + 100}, 1}));
  EXPECT_FALSE(copied_from(contract, entry, ByteRange{Address{0x10000 - 1}, 8}));
  EXPECT_FALSE(copied_from(contract, call(0x10000, 0x80000, 0), ByteRange{Address{0x10000}, 1}));
  EXPECT_FALSE(copied_from(contract, call(0x10000, 0x80000, 4), ByteRange{Address{0x10000}, 8}));
  // A length of the whole address space: nothing wraps.
  EXPECT_FALSE(copied_from(contract, call(0x10000, 0x80000, ~std::uint64_t{0}),
                           ByteRange{Address{0xffff}, 8}));
}

TEST(CopyContract, AStringReachesAsFarAsItDoes) {
  const CopyContract contract{Gpr::rdi, Gpr::rsi, std::nullopt};
  const Registers entry = call(0x10000, 0x80000, 3);
  EXPECT_EQ(copied_from(contract, entry, ByteRange{Address{0x10000 + 64}, 8}),
            Address{0x80000 + 64});
  EXPECT_FALSE(copied_from(contract, entry, ByteRange{Address{0xfff8}, 8}));
}

}  // namespace
}  // namespace culprit::provenance
