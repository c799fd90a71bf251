#include "provenance/stack_copy.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace culprit::provenance {
namespace {

constexpr std::uint64_t kStart = 0x7ffe'0000;

/// A stack of 4 KiB whose words are their own addresses.
class FakeStack : public MemoryReader {
 public:
  std::size_t read(Address address, std::span<std::byte> out) const override {
    std::size_t done = 0;
    while (done < out.size() && address.value + done >= kStart &&
           address.value + done < kStart + 4096) {
      const std::uint64_t word = (address.value + done) & ~std::uint64_t{7};
      out[done] = static_cast<std::byte>(word >> (8 * ((address.value + done) & 7)));
      ++done;
    }
    return done;
  }
};

Moment moment_with(std::uint64_t sp, std::initializer_list<std::uint64_t> cfas) {
  Moment moment;
  moment.registers[Gpr::rsp] = sp;
  for (const std::uint64_t cfa : cfas) {
    moment.frames.emplace_back();
    moment.frames.back().frame.cfa = Address{cfa};
  }
  return moment;
}

TEST(StackCopy, HoldsTheRedZoneAndAllFrames) {
  const StackCopy copy(moment_with(kStart + 0x400, {kStart + 0x440, kStart + 0x500}), FakeStack());
  for (const std::uint64_t at : {kStart + 0x380, kStart + 0x400, kStart + 0x4f8}) {
    EXPECT_EQ(copy.read_as<std::uint64_t>(Address{at}), at);
  }
  EXPECT_FALSE(copy.missed());
}

TEST(StackCopy, RemembersThatItWasAskedForMore) {
  const Moment moment = moment_with(kStart + 0x400, {kStart + 0x440});
  for (const std::uint64_t at :
       {kStart + 0x440, kStart + 0x43c, kStart + 0x37c, std::uint64_t{8}, ~std::uint64_t{3}}) {
    const StackCopy copy(moment, FakeStack());
    EXPECT_FALSE(copy.read_as<std::uint64_t>(Address{at})) << std::hex << at;
    EXPECT_TRUE(copy.missed()) << std::hex << at;
  }
  const StackCopy none;
  EXPECT_FALSE(none.read_as<std::uint64_t>(Address{kStart}));
  EXPECT_TRUE(none.missed());
}

TEST(StackCopy, StopsWhereTheFramesLeaveTheStack) {
  // The next frame lies on another stack, below or far above; the memory ends in a frame.
  for (const std::uint64_t elsewhere : {kStart + 0x100, kStart + 0x1000'0000}) {
    const StackCopy copy(moment_with(kStart + 0x400, {kStart + 0x440, elsewhere}), FakeStack());
    EXPECT_EQ(copy.read_as<std::uint64_t>(Address{kStart + 0x438}), kStart + 0x438);
    EXPECT_FALSE(copy.read_as<std::uint64_t>(Address{kStart + 0x440}));
  }
  const StackCopy cut(moment_with(kStart + 0xf00, {kStart + 0x1100}), FakeStack());
  EXPECT_EQ(cut.read_as<std::uint64_t>(Address{kStart + 0xff8}), kStart + 0xff8);
  EXPECT_FALSE(cut.read_as<std::uint64_t>(Address{kStart + 0x1000}));
  const StackCopy at_zero(moment_with(8, {0x100}), FakeStack());
  EXPECT_FALSE(at_zero.read_as<std::uint64_t>(Address{8}));
}

}  // namespace
}  // namespace culprit::provenance
