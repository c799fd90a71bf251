// Names of addresses and values in the runtime's own memory.
#include "runtimes/go/go_runtime.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "runtimes/go/fake_memory.h"
#include "runtimes/go/go_program.h"

namespace culprit::runtimes::go {
namespace {

using testing::FakeMemory;
using testing::FakeRuntime;
using Role = RuntimePlace::Role;

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

class GoPlaces : public testing::GoProgramTest {
 protected:
  void SetUp() override {
    GoProgramTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    fake_.emplace(layout_, memory_);
    p_[0] = fake_->add_p();
    p_[1] = fake_->add_p();
    g1_ = fake_->add_g(1, {Address{0xc100000000}, 0x20000});
    g7_ = fake_->add_g(7, {Address{0xc200000000}, 0x900});
    runtime_.emplace(layout_, *map_);
  }
  static Address at(Address base, std::uint64_t offset) {
    return base + static_cast<std::int64_t>(offset);
  }
  [[nodiscard]] Address entry(Address p, std::uint64_t index) const {
    return at(p, layout_.p_wbbuf_buf + 8 * index);
  }

  FakeMemory memory_;
  std::optional<FakeRuntime> fake_;
  std::optional<GoRuntime> runtime_;
  Address p_[2];
  Address g1_, g7_;
};

TEST_P(GoPlaces, TheWriteBarrierKeepsRegisters) {
  constexpr std::uint16_t kAllButR11 = 0xf7ff;
  EXPECT_EQ(runtime_->kept_by_call("runtime.gcWriteBarrier2"), kAllButR11);
  EXPECT_EQ(runtime_->kept_by_call("runtime.gcWriteBarrier8.abi0"), kAllButR11);
  EXPECT_EQ(runtime_->kept_by_call("runtime.gcWriteBarrier"), 0xffff);
  EXPECT_EQ(runtime_->kept_by_call("runtime.gcWriteBarrierCX"), 0xffff);
  EXPECT_EQ(runtime_->kept_by_call("runtime.gcWriteBarrier9"), 0);
  EXPECT_EQ(runtime_->kept_by_call("runtime.gcWriteBarrier12"), 0);
  EXPECT_EQ(runtime_->kept_by_call("runtime.wbBufFlush"), 0);
}

TEST_P(GoPlaces, TheAllocatorIsKnownByName) {
  EXPECT_TRUE(runtime_->allocates("runtime.mallocgc"));
  EXPECT_TRUE(runtime_->allocates("runtime.mallocgcSmallNoscan"));
  EXPECT_TRUE(runtime_->allocates("runtime.newobject"));
  EXPECT_FALSE(runtime_->allocates("runtime.mallocinit"));
  EXPECT_FALSE(runtime_->allocates("main.mallocgc"));
}

TEST_P(GoPlaces, WriteBarrierBufferEntriesHaveAnIndex) {
  const std::uint64_t last = layout_.p_wbbuf_entries - 1;
  for (const std::uint64_t n : {std::uint64_t{0}, std::uint64_t{9}, last}) {
    for (const std::uint64_t byte : {0U, 7U}) {
      const auto place = runtime_->describe(at(entry(p_[1], n), byte), memory_);
      ASSERT_TRUE(place.has_value());
      EXPECT_EQ(place->role, Role::write_barrier_buffer);
      EXPECT_EQ(place->index, n);
      EXPECT_EQ(place->name, "allp[1].wbBuf.buf[" + std::to_string(n) + "]");
      EXPECT_EQ(place->member, "wbBuf.buf[" + std::to_string(n) + "]");
      EXPECT_EQ(place->type, "runtime.p");
      EXPECT_EQ(place->object, (ByteRange{p_[1], layout_.p_size}));
    }
  }
}

TEST_P(GoPlaces, TheBytesBesideTheBufferAreNoEntries) {
  const auto before = runtime_->describe(entry(p_[0], 0) - 8, memory_);
  ASSERT_TRUE(before.has_value());
  EXPECT_EQ(before->role, Role::runtime_struct);
  EXPECT_EQ(before->name, "allp[0].wbBuf.end");
  const auto after = runtime_->describe(entry(p_[0], layout_.p_wbbuf_entries), memory_);
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->role, Role::runtime_struct);
  EXPECT_EQ(after->name.rfind("allp[0].", 0), 0U);
  EXPECT_EQ(after->name.find("wbBuf"), std::string::npos) << after->name;
}

TEST_P(GoPlaces, AMissingPIsSkippedButCounted) {
  // procresize leaves what it does not use; a nil one must not shift the numbers.
  memory_.put(Address{memory_.read_u64(layout_.allp).value()}, Address{});
  EXPECT_FALSE(runtime_->describe(entry(p_[0], 3), memory_).has_value());
  EXPECT_FALSE(runtime_->describe(Address{8}, memory_).has_value());
  const auto place = runtime_->describe(entry(p_[1], 3), memory_);
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->name, "allp[1].wbBuf.buf[3]");
}

TEST_P(GoPlaces, GoroutinesStructures) {
  const auto lo = runtime_->describe(at(g7_, layout_.g_stack_lo), memory_);
  ASSERT_TRUE(lo.has_value());
  EXPECT_EQ(lo->role, Role::runtime_struct);
  EXPECT_EQ(lo->type, "runtime.g");
  EXPECT_EQ(lo->member, "stack.lo");
  EXPECT_EQ(lo->name, "goroutine 7's g.stack.lo");
  EXPECT_EQ(lo->object, (ByteRange{g7_, layout_.g_size}));
  const auto pc = runtime_->describe(at(g1_, layout_.g_sched_pc), memory_);
  ASSERT_TRUE(pc.has_value());
  EXPECT_EQ(pc->name, "goroutine 1's g.sched.pc");
  EXPECT_TRUE(runtime_->describe(at(g1_, layout_.g_size - 1), memory_).has_value());
  EXPECT_FALSE(runtime_->describe(at(g1_, layout_.g_size), memory_).has_value());
}

TEST_P(GoPlaces, GoroutinesStacksHaveBounds) {
  const ByteRange stack{Address{0xc100000000}, 0x20000};
  for (const Address inside : {stack.start, stack.end() - 1}) {
    const auto place = runtime_->describe(inside, memory_);
    ASSERT_TRUE(place.has_value());
    EXPECT_EQ(place->role, Role::goroutine_stack);
    EXPECT_EQ(place->name, "goroutine 1's stack");
    EXPECT_EQ(place->object, stack);
  }
  EXPECT_FALSE(runtime_->describe(stack.start - 1, memory_).has_value());
  EXPECT_FALSE(runtime_->describe(stack.end(), memory_).has_value());
}

TEST_P(GoPlaces, ValuesThatMeanAStack) {
  const auto text = [&](std::uint64_t value) { return runtime_->describe_value(value, memory_); };
  EXPECT_EQ(text(0xc100000000), "the base of goroutine 1's stack (128 KiB)");
  EXPECT_EQ(text(0xc100020000), "the end of goroutine 1's stack (128 KiB)");
  EXPECT_EQ(text(0xc100000008), "an address in goroutine 1's stack (128 KiB)");
  EXPECT_EQ(text(0xc200000000), "the base of goroutine 7's stack (2304 bytes)");
  EXPECT_EQ(text(g7_.value), "goroutine 7's g structure");
  EXPECT_EQ(text(0xc0ffffffff), "");
  EXPECT_EQ(text(0), "");
}

TEST_P(GoPlaces, AnythingElseIsNothing) {
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{1}, layout_.allp.value,
                                    p_[0].value - 1, p_[0].value + layout_.p_size, kMost}) {
    EXPECT_FALSE(runtime_->describe(Address{value}, memory_).has_value()) << value;
  }
}

// A list of `length` times the same pointer, in whole pages.
Address repeated(FakeMemory& memory, Address pointer, std::uint64_t length) {
  const Address array{0x610000000000};
  for (std::uint64_t i = 0; i < length; ++i) {
    memory.put(array + static_cast<std::int64_t>(8 * i), pointer);
  }
  return array;
}

TEST_P(GoPlaces, HostileListsAreReadUpToABound) {
  // Far more elements than are looked at, all of them the same goroutine or p.
  const std::uint64_t length = 150'000;
  memory_.put(layout_.allgs, repeated(memory_, g7_, length));
  memory_.put(layout_.allgs + 8, kMost);
  memory_.put(layout_.allp, memory_.read_u64(layout_.allgs).value());
  memory_.put(layout_.allp + 8, kMost);
  // Neither is found: g7 is no p, and the address is nowhere.
  constexpr std::uint64_t kMaxElements = 100'000 + 65'536;
  constexpr std::uint64_t kReadsOfOneG = 6;
  for (const std::uint64_t value : {std::uint64_t{0x123}, kMost}) {
    memory_.reset_counts();
    EXPECT_FALSE(runtime_->describe(Address{value}, memory_).has_value());
    EXPECT_LE(memory_.reads(), kReadsOfOneG * kMaxElements + 16);
    EXPECT_LE(memory_.bytes(), 8 * (kReadsOfOneG + 1) * kMaxElements + 64);
    memory_.reset_counts();
    EXPECT_EQ(runtime_->describe_value(value, memory_), "");
    EXPECT_LE(memory_.reads(), kReadsOfOneG * kMaxElements + 16);
  }
}

TEST_P(GoPlaces, ListsOfGarbageNameNothing) {
  constexpr Address kNowhere{0x123456789000};
  // The lists as their own elements, unreadable and wrapping pointers, and no list at all.
  for (const std::uint64_t pointer : {layout_.allgs.value, std::uint64_t{0xdead0000}, kMost,
                                      kMost - 7, kMost - layout_.g_size, std::uint64_t{1}}) {
    for (const Address list : {layout_.allp, layout_.allgs}) {
      memory_.put(list, repeated(memory_, Address{pointer}, 4));
      memory_.put(list + 8, std::uint64_t{4});
    }
    EXPECT_FALSE(runtime_->describe(kNowhere, memory_).has_value()) << pointer;
    EXPECT_EQ(runtime_->describe_value(kNowhere.value, memory_), "");
  }
  for (const std::uint64_t array : {std::uint64_t{0}, kMost, kMost - 8, layout_.allgs.value}) {
    for (const Address list : {layout_.allp, layout_.allgs}) memory_.put(list, array);
    EXPECT_FALSE(runtime_->describe(kNowhere, memory_).has_value()) << array;
    EXPECT_EQ(runtime_->describe_value(kNowhere.value, memory_), "");
  }
  const FakeMemory nothing;
  EXPECT_FALSE(runtime_->describe(g1_, nothing).has_value());
  EXPECT_EQ(runtime_->describe_value(g1_.value, nothing), "");
}

INSTANTIATE_TEST_SUITE_P(Toolchains, GoPlaces, ::testing::ValuesIn(testing::toolchains()),
                         testing::toolchain_name);

}  // namespace
}  // namespace culprit::runtimes::go
