#include "batch/shard.h"

#include <gtest/gtest.h>

#include <vector>

namespace culprit::batch {
namespace {

TEST(Shard, PartsAreDisjointCompleteAndEven) {
  for (const unsigned count : {1U, 2U, 3U, 7U, 64U}) {
    for (const std::size_t cases : {0U, 1U, 5U, 63U, 64U, 1000U}) {
      std::vector<unsigned> owners(cases, 0);
      std::vector<std::size_t> sizes;
      for (unsigned index = 1; index <= count; ++index) {
        const auto shard = parse_shard(std::to_string(index) + "/" + std::to_string(count));
        ASSERT_TRUE(shard.ok());
        std::size_t size = 0;
        for (std::size_t place = 0; place < cases; ++place) {
          if (!shard->has(place)) continue;
          ++owners[place];
          ++size;
        }
        sizes.push_back(size);
      }
      for (const unsigned owner : owners) ASSERT_EQ(owner, 1U) << count << " " << cases;
      for (const std::size_t size : sizes) {
        EXPECT_LE(cases / count, size);
        EXPECT_LE(size, cases / count + 1);
      }
    }
  }
}

TEST(Shard, WrongTextsAreRefused) {
  for (const char* text : {"", "/", "1", "1/", "/2", "0/2", "3/2", "-1/2", "1/0", "1/2/3", "a/b",
                           "1 /2", "1/99999999999", "1/100001", "+1/2"}) {
    EXPECT_FALSE(parse_shard(text).ok()) << text;
  }
}

}  // namespace
}  // namespace culprit::batch
