#include "provenance/region_life.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <string>
#include <utility>

#include "base/file.h"

namespace culprit::provenance {
namespace {

/// See src/replay/trace_index_test.cc: process 6565 forks 6566, which execs /bin/true; then it maps
/// (events 213, 214), moves and grows (215, 216), protects the lower half (217, 218) and unmaps
/// (219, 220).
replay::TraceIndex golden() {
  const auto text = read_file(
      std::string(CULPRIT_SOURCE_DIR) + "/src/replay/testdata/dump-c-fork-signals.txt", 1 << 20);
  EXPECT_TRUE(text.ok());
  replay::TraceIndexParser parser;
  EXPECT_TRUE(parser.feed(text.value_or("")).ok());
  auto out = parser.finish();
  EXPECT_TRUE(out.ok());
  return std::move(*out);
}

constexpr ProcessId kParent{6565};
constexpr ProcessId kChild{6566};
constexpr EventNumber kEnd{225};

TEST(RegionLife, AMappingThatWasMovedAway) {
  const RegionLife life = region_life(golden(), kParent, kEnd, Address{0x7f1f65a83000});
  ASSERT_FALSE(life.times.empty());
  const RegionTime& last = life.times.back();
  ASSERT_TRUE(last.from && last.to);
  EXPECT_EQ(last.from->event, EventNumber{213});
  EXPECT_EQ(last.from->call->syscall, std::uint64_t{SYS_mmap});
  EXPECT_TRUE(last.from->description.starts_with("mmap(")) << last.from->description;
  EXPECT_EQ(last.to->event, EventNumber{215});
  EXPECT_EQ(last.to->thread, ThreadId{6565});
  EXPECT_EQ(last.to->call->syscall, std::uint64_t{SYS_mremap});
  EXPECT_EQ(last.to->arguments.start, Address{0x7f1f65a83000});
  EXPECT_EQ(last.kind, report::RegionKind::mapping);
  EXPECT_TRUE(last.description.starts_with("anonymous mapping")) << last.description;
  ASSERT_TRUE(last.to->caller);
  EXPECT_EQ(last.to->caller->kind, replay::Mark::Kind::syscall_entry);
}

TEST(RegionLife, RightsThatChangedAreNoNewLife) {
  const auto index = golden();
  const RegionLife lower = region_life(index, kParent, kEnd, Address{0x7f1f65a81000});
  ASSERT_FALSE(lower.times.empty());
  const RegionTime& last = lower.times.back();
  ASSERT_TRUE(last.from && last.to);
  EXPECT_EQ(last.from->event, EventNumber{215}) << "the mremap brought it";
  EXPECT_EQ(last.to->event, EventNumber{219});
  EXPECT_EQ(last.to->call->syscall, std::uint64_t{SYS_munmap});
  EXPECT_NE(last.description.find("rights rw-p → r--p at event 217"), std::string::npos)
      << last.description;
  const RegionLife upper = region_life(index, kParent, kEnd, Address{0x7f1f65a82000});
  ASSERT_FALSE(upper.times.empty());
  EXPECT_EQ(upper.times.back().description.find("rights"), std::string::npos)
      << upper.times.back().description;
  // While it lived, it has no end.
  const RegionLife then = region_life(index, kParent, EventNumber{218}, Address{0x7f1f65a81000});
  ASSERT_FALSE(then.times.empty());
  EXPECT_FALSE(then.times.back().to);
}

TEST(RegionLife, AForkedProcessHasItsParentsPast) {
  const auto index = golden();
  const RegionLife life = region_life(index, kChild, kEnd, Address{0x560de7e57100});
  ASSERT_EQ(life.times.size(), 2U);
  EXPECT_EQ(life.times[0].path, "/trace/f");
  EXPECT_EQ(life.times[0].from->process, kParent);
  ASSERT_TRUE(life.times[0].to);
  EXPECT_EQ(life.times[0].to->event, EventNumber{115});
  EXPECT_NE(life.times[0].to->description.find("process 6566 was forked"), std::string::npos);
  EXPECT_FALSE(life.times[0].to->call) << "nobody's mapping was changed";
  ASSERT_TRUE(life.times[1].to);
  EXPECT_EQ(life.times[1].to->call->syscall, std::uint64_t{SYS_execve});
  EXPECT_EQ(life.times[1].to->process, kChild);
  // The parent's went on.
  const RegionLife parent = region_life(index, kParent, kEnd, Address{0x560de7e57100});
  ASSERT_EQ(parent.times.size(), 1U);
  EXPECT_FALSE(parent.times[0].to);
}

TEST(RegionLife, NothingWasEverThere) {
  const auto index = golden();
  EXPECT_TRUE(region_life(index, kParent, kEnd, Address{0x1000}).times.empty());
  EXPECT_TRUE(region_life(index, kParent, kEnd, Address{~std::uint64_t{0}}).times.empty());
  EXPECT_TRUE(region_life(index, ProcessId{1}, kEnd, Address{0x560de7e57100}).times.empty());
  EXPECT_TRUE(region_life(index, kParent, EventNumber{0}, Address{0x560de7e57100}).times.empty());
}

TEST(MappingLife, OnlyWhatTheProcessMadeItself) {
  const auto index = golden();
  EXPECT_TRUE(mapping_life(index, kChild, kEnd, Address{0x560de7e57100}).empty())
      << "its parent's, and before its exec";
  EXPECT_TRUE(mapping_life(index, kParent, kEnd, Address{0x560de7e57100}).empty())
      << "the exec made it";
  const auto moved = mapping_life(index, kParent, kEnd, Address{0x7f1f65a83000});
  ASSERT_FALSE(moved.empty());
  EXPECT_EQ(moved.back().from->event, EventNumber{213});
  const report::RegionPeriod period = period_of(moved.back());
  EXPECT_EQ(period.from->position.event, EventNumber{213});
  EXPECT_EQ(period.to->position.thread, ThreadId{6565});
  EXPECT_EQ(period.range, moved.back().range);
}

TEST(CallText, AsManyArgumentsAsTheCallHas) {
  EXPECT_EQ(call_text(SYS_munmap, {0x1000, 0x2000, 3, 4, 5, 6}, 0), "munmap(0x1000, 0x2000) = 0");
  EXPECT_EQ(call_text(SYS_brk, {0x1000, 2, 3, 4, 5, 6}, 0x5000), "brk(0x1000) = 0x5000");
  EXPECT_EQ(call_text(SYS_mprotect, {1, 2, 3, 4, 5, 6}, -13), "mprotect(0x1, 0x2, 0x3) = -13");
  EXPECT_EQ(call_text(999'999, {1, 2, 3, 4, 5, 6}, 0).find("system call 999999("), 0U);
}

}  // namespace
}  // namespace culprit::provenance
