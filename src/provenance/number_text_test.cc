#include "provenance/number_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace culprit::provenance {
namespace {

constexpr Address kText{0x1000};

class TextMemory : public MemoryReader {
 public:
  explicit TextMemory(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] std::size_t read(Address address, std::span<std::byte> out) const override {
    if (address < kText || address >= kText + static_cast<std::int64_t>(text_.size())) return 0;
    const auto from = static_cast<std::size_t>(address - kText);
    const std::size_t n = std::min(out.size(), text_.size() - from);
    std::memcpy(out.data(), text_.data() + from, n);
    return n;
  }

 private:
  std::string text_;
};

// Where the number's text begins, asked at the character `at`.
std::optional<std::int64_t> begin(const std::string& text, std::size_t at, std::uint64_t value,
                                  std::uint32_t size = 8) {
  const auto found =
      text_of_number(TextMemory(text), kText + static_cast<std::int64_t>(at), value, size);
  return found ? std::optional(*found - kText) : std::nullopt;
}

TEST(TextOfNumber, ReadsDecimalsToTheirEnd) {
  EXPECT_EQ(begin("--buckets=99999999999999999", 26, 99999999999999999), 10);
  EXPECT_EQ(begin("--buckets=99999999999999999", 12, 99999999999999999), 10);
}

TEST(TextOfNumber, ReadsWhatHasBeenReadSoFar) {
  EXPECT_EQ(begin("100000000000", 5, 100000), 0);
  EXPECT_EQ(begin("100000000000", 5, 10000), std::nullopt);
}

TEST(TextOfNumber, ReadsHexadecimalAndOctal) {
  EXPECT_EQ(begin("watch=4142434445464748", 21, 0x4142434445464748), 6);
  EXPECT_EQ(begin("at 0xdeadBEEF;", 8, 0xdeadbeef), 5);
  EXPECT_EQ(begin("-0x10", 3, static_cast<std::uint64_t>(-16)), 3);
  EXPECT_EQ(begin("0755", 3, 0755), 0);
}

TEST(TextOfNumber, ReadsSignsAndCutsWhatDoesNotFit) {
  EXPECT_EQ(begin("-1", 1, ~std::uint64_t{0}), 1);
  EXPECT_EQ(begin("-1", 1, 0xffffffff, 4), 1);
  EXPECT_EQ(begin("4294967297", 9, 1, 4), 0);
  EXPECT_EQ(begin("4294967297", 9, 1, 8), std::nullopt);
}

TEST(TextOfNumber, SaysNoToOtherText) {
  EXPECT_EQ(begin("hello", 2, 0x1234), std::nullopt);
  EXPECT_EQ(begin("12345", 2, 54321), std::nullopt);
  EXPECT_EQ(begin("1", 0, 1, 0), std::nullopt);
  EXPECT_EQ(begin("", 0, 0), std::nullopt);
}

TEST(TextOfNumber, EndsWhereMemoryOrItsReachEnds) {
  EXPECT_EQ(begin(std::string(4000, '1'), 2000, 11), std::nullopt);
}

}  // namespace
}  // namespace culprit::provenance
