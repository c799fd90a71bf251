#include "agent/wait_queue.h"

#include <gtest/gtest.h>

namespace culprit::agent {
namespace {

TEST(WaitQueue, IsFirstInFirstOutForEachTask) {
  WaitQueue queue;
  EXPECT_FALSE(queue.take(-1, false).has_value());
  queue.push(10, 1);
  queue.push(20, 2);
  queue.push(10, 3);
  EXPECT_FALSE(queue.take(30, false).has_value());
  EXPECT_EQ(queue.take(20, true)->status, 2);
  EXPECT_EQ(queue.take(20, false)->status, 2);
  EXPECT_FALSE(queue.take(20, false).has_value());
  EXPECT_EQ(queue.take(-1, false)->status, 1);
  EXPECT_EQ(queue.take(10, false)->status, 3);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace culprit::agent
