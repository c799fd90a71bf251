#include "provenance/cached_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

namespace culprit::provenance {
namespace {

/// Readable ranges of bytes; counts how often it is asked.
class FakeMemory : public MemoryReader {
 public:
  void map(std::uint64_t at, std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((at + i) * 7);
    ranges_[at] = std::move(bytes);
  }
  std::size_t read(Address address, std::span<std::byte> out) const override {
    ++reads;
    for (const auto& [at, bytes] : ranges_) {
      if (address.value < at || address.value - at >= bytes.size()) continue;
      const std::size_t offset = address.value - at;
      const std::size_t n = std::min(out.size(), bytes.size() - offset);
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), n, out.begin());
      return n;
    }
    return 0;
  }
  mutable int reads = 0;

 private:
  std::map<std::uint64_t, std::vector<std::byte>> ranges_;
};

TEST(CachedMemory, ReadsAPageOnce) {
  FakeMemory fake;
  fake.map(0x10000, 0x2000);
  const CachedMemory cached(fake);
  for (std::uint64_t a = 0x10000; a < 0x10800; a += 8) {
    std::uint64_t plain = 0;
    ASSERT_EQ(fake.read(Address{a}, std::as_writable_bytes(std::span(&plain, 1))), 8u);
    EXPECT_EQ(cached.read_u64(Address{a}), plain);
  }
  EXPECT_EQ(fake.reads, 0x100 + 1);
}

TEST(CachedMemory, CrossesPages) {
  FakeMemory fake;
  fake.map(0x10000, 0x3000);
  const CachedMemory cached(fake);
  std::vector<std::byte> direct(0x1800), through(0x1800);
  ASSERT_EQ(fake.read(Address{0x10ff9}, direct), direct.size());
  ASSERT_EQ(cached.read(Address{0x10ff9}, through), through.size());
  EXPECT_EQ(direct, through);
}

TEST(CachedMemory, StopsWhereTheSourceEnds) {
  FakeMemory fake;
  fake.map(0x10000, 0x1004);
  const CachedMemory cached(fake);
  std::vector<std::byte> out(64);
  EXPECT_EQ(cached.read(Address{0x10ff8}, out), 12u);
  EXPECT_EQ(cached.read(Address{0x11004}, out), 0u);
  EXPECT_EQ(cached.read(Address{0x50000}, out), 0u);
}

TEST(CachedMemory, AnUnreadableHeadDoesNotHideATail) {
  FakeMemory fake;
  fake.map(0x10800, 0x100);
  const CachedMemory cached(fake);
  std::vector<std::byte> out(16);
  EXPECT_EQ(cached.read(Address{0x10800}, out), 16u);
  EXPECT_EQ(cached.read(Address{0x107f0}, out), 0u);
}

TEST(CachedMemory, DoesNotWrapAround) {
  FakeMemory fake;
  const CachedMemory cached(fake);
  std::vector<std::byte> out(64);
  EXPECT_EQ(cached.read(Address{~std::uint64_t{0} - 7}, out), 0u);
}

}  // namespace
}  // namespace culprit::provenance
