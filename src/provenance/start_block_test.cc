#include "provenance/start_block.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace culprit::provenance {
namespace {

constexpr Address kStack{0x7ffd'0000'1000};
using Kind = StartBlockPart::Kind;

// An initial stack, laid out as the kernel does it.
class StartStack : public MemoryReader {
 public:
  StartStack(std::vector<std::string> arguments, std::vector<std::string> environment) {
    const std::size_t pointers = 1 + arguments.size() + 1 + environment.size() + 1 + 2;
    std::vector<std::uint64_t> words{arguments.size()};
    std::string texts;
    const auto add = [&](const std::string& text) {
      words.push_back(kStack.value + 8 * pointers + texts.size());
      texts += text + '\0';
    };
    for (const auto& a : arguments) add(a);
    words.push_back(0);
    for (const auto& e : environment) add(e);
    words.insert(words.end(), {0, 0, 0});
    bytes_.resize(8 * words.size() + texts.size());
    std::memcpy(bytes_.data(), words.data(), 8 * words.size());
    std::memcpy(bytes_.data() + 8 * words.size(), texts.data(), texts.size());
    texts_ = 8 * static_cast<std::int64_t>(words.size());
  }
  [[nodiscard]] std::size_t read(Address address, std::span<std::byte> out) const override {
    if (address < kStack) return 0;
    const auto from = static_cast<std::size_t>(address - kStack);
    if (from >= bytes_.size()) return 0;
    const std::size_t n = std::min(out.size(), bytes_.size() - from);
    std::memcpy(out.data(), bytes_.data() + from, n);
    return n;
  }
  [[nodiscard]] Address text(std::int64_t offset) const { return kStack + texts_ + offset; }

 private:
  std::vector<std::byte> bytes_;
  std::int64_t texts_ = 0;
};

const StartStack& example() {
  static const StartStack stack({"prog", "-v", "watch=41"}, {"HOME=/root", "CACHE_FIRST=100"});
  return stack;
}

TEST(StartBlock, NamesArgumentsByTheirTextsAndPointers) {
  auto part = find_in_start_block(example(), kStack, example().text(5 + 3 + 6));
  ASSERT_TRUE(part);
  EXPECT_EQ(part->words(), "argv[2]");
  part = find_in_start_block(example(), kStack, kStack + 16);
  ASSERT_TRUE(part);
  EXPECT_EQ(part->words(), "argv[1]");
}

TEST(StartBlock, NamesAVariableAndNotWhatItIsSetTo) {
  const auto part = find_in_start_block(example(), kStack, example().text(17 + 11 + 13));
  ASSERT_TRUE(part);
  EXPECT_EQ(part->kind, Kind::environment);
  EXPECT_EQ(part->words(), "the environment variable CACHE_FIRST");
}

TEST(StartBlock, TellsTheEndsOfTheLists) {
  auto part = find_in_start_block(example(), kStack, kStack + 8 * 4);
  ASSERT_TRUE(part);
  EXPECT_EQ(part->kind, Kind::end_of_arguments);
  part = find_in_start_block(example(), kStack, kStack + 8 * 7);
  ASSERT_TRUE(part);
  EXPECT_EQ(part->kind, Kind::end_of_environment);
}

TEST(StartBlock, GivesNoNameWithoutAnEqualsSign) {
  const StartStack stack({"p"}, {"secret"});
  const auto part = find_in_start_block(stack, kStack, stack.text(4));
  ASSERT_TRUE(part);
  EXPECT_EQ(part->words(), "an environment variable");
}

TEST(StartBlock, RefusesWhatIsNoBlock) {
  const StartStack stack({}, {});
  EXPECT_FALSE(find_in_start_block(stack, kStack + 0x10000, kStack + 0x10008));
  EXPECT_FALSE(find_in_start_block(example(), example().text(0), example().text(4)));
  EXPECT_FALSE(find_in_start_block(example(), kStack, kStack - 8));
}

}  // namespace
}  // namespace culprit::provenance
