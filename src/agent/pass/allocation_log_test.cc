#include "agent/pass/allocation_log.h"

#include <gtest/gtest.h>

#include <limits>

namespace culprit::agent {
namespace {

// Indices into watched().
constexpr std::uint8_t kMalloc = 0, kCalloc = 1, kRealloc = 2, kMemalign = 3, kInto = 4, kFree = 5,
                       kNew = 6, kDelete = 7, kReallocarray = 8;

std::vector<wire::HeapFunction> watched() {
  const auto at = [](wire::HeapRole role, std::uint64_t address) {
    wire::HeapFunction function;
    function.role = role;
    function.address = address;
    return function;
  };
  return {
      at(wire::HeapRole::allocate, 0x401000),      at(wire::HeapRole::allocate_array, 0x401100),
      at(wire::HeapRole::resize, 0x401200),        at(wire::HeapRole::allocate_aligned, 0x401300),
      at(wire::HeapRole::allocate_into, 0x401400), at(wire::HeapRole::release, 0x401500),
      at(wire::HeapRole::allocate, 0x402000),      at(wire::HeapRole::release, 0x402100),
      at(wire::HeapRole::resize_array, 0x401600)};
}

constexpr std::uint64_t kTop = 0x7fff'0000'1000;

struct Arguments {
  std::uint64_t first = 0, second = 0, third = 0;
};

wire::HeapCall call(std::uint8_t function, Arguments arguments, std::int32_t thread = 1,
                    std::uint64_t sp = kTop) {
  wire::HeapCall out;
  out.function = function;
  out.position.thread = thread;
  out.position.process = 1;
  out.registers.rip = watched()[function].address;
  out.registers[Gpr::rsp] = sp;
  out.registers[Gpr::rdi] = arguments.first;
  out.registers[Gpr::rsi] = arguments.second;
  out.registers[Gpr::rdx] = arguments.third;
  out.stack = {function, 2, 3, 4, 5, 6, 7, 8};
  return out;
}

/// A log with the short forms of calls that the tests are made of.
struct Book : AllocationLog {
  Book() : AllocationLog(watched()) {}

  /// A whole call of an allocating function.
  void make(std::uint8_t function, Arguments arguments, std::uint64_t result,
            std::int32_t thread = 1, std::uint64_t sp = kTop) {
    ASSERT_TRUE(on_entry(call(function, arguments, thread, sp)));
    ASSERT_TRUE(returns(thread, sp + 8));
    on_return(thread, result);
    ASSERT_FALSE(returns(thread, sp + 8)) << "a call returns once";
  }
  void free(std::uint64_t pointer, std::int32_t thread = 1, std::uint64_t sp = kTop) {
    EXPECT_FALSE(on_entry(call(kFree, {pointer}, thread, sp))) << "a release is not waited for";
  }
};

TEST(AllocationLog, MallocAndFreeAreOneBlocksLife) {
  Book book;
  book.make(kMalloc, {24}, 0x5000);
  wire::HeapBlocks at = book.blocks_at(0x5000 + 23, 1);
  ASSERT_EQ(at.holding.size(), 1U);
  EXPECT_EQ(at.holding[0].start, 0x5000U);
  EXPECT_EQ(at.holding[0].size, 24U);
  EXPECT_EQ(at.holding[0].allocated.function, kMalloc);
  EXPECT_EQ(at.holding[0].allocated.ordinal, 1U);
  EXPECT_EQ(at.holding[0].allocated.stack.size(), 8U);
  EXPECT_FALSE(at.holding[0].released);
  EXPECT_TRUE(at.complete);
  EXPECT_EQ(at.calls, 1U);
  EXPECT_TRUE(book.blocks_at(0x5000 + 24, 1).holding.empty()) << "the end is not in the block";
  EXPECT_TRUE(book.blocks_at(0x4fff, 1).holding.empty());

  book.free(0x5000);
  at = book.blocks_at(0x5000 + 23, 1);
  ASSERT_EQ(at.holding.size(), 1U) << "a freed block still holds its bytes";
  ASSERT_TRUE(at.holding[0].released);
  EXPECT_EQ(at.holding[0].released->function, kFree);
  EXPECT_EQ(at.holding[0].released->ordinal, 2U);
  EXPECT_TRUE(at.stray.empty());
  ASSERT_TRUE(at.current);
  EXPECT_EQ(at.current->ordinal, 2U);
}

TEST(AllocationLog, EachRolesSizeComesFromItsOwnArguments) {
  Book book;
  book.make(kCalloc, {3, 16}, 0x1000);
  book.make(kMemalign, {64, 100}, 0x2000);
  book.make(kInto, {0x7ffe0000, 4096, 200}, 0x3000);
  book.make(kReallocarray, {0, 5, 7}, 0x4000);
  book.make(kRealloc, {0, 9}, 0x5000);
  const auto size = [&](std::uint64_t start) {
    const wire::HeapBlocks at = book.blocks_at(start, 1);
    return at.holding.size() == 1 ? at.holding[0].size : 0;
  };
  EXPECT_EQ(size(0x1000), 48U);
  EXPECT_EQ(size(0x2000), 100U);
  EXPECT_EQ(size(0x3000), 200U);
  EXPECT_EQ(size(0x4000), 35U);
  EXPECT_EQ(size(0x5000), 9U);
}

TEST(AllocationLog, OnlyPosixMemalignLeavesItsResultInMemory) {
  Book book;
  EXPECT_FALSE(book.result_slot(1));
  ASSERT_TRUE(book.on_entry(call(kInto, {0x7ffe0010, 64, 200})));
  EXPECT_EQ(book.result_slot(1), 0x7ffe0010U);
  EXPECT_FALSE(book.result_slot(2)) << "that of another thread";
  book.on_return(1, 0);
  EXPECT_FALSE(book.result_slot(1));
  EXPECT_TRUE(book.blocks_at(0, 1).holding.empty()) << "it failed";
  ASSERT_TRUE(book.on_entry(call(kMemalign, {64, 200})));
  EXPECT_FALSE(book.result_slot(1));
}

TEST(AllocationLog, AnAllocationThatFailsIsNoBlock) {
  Book book;
  book.make(kMalloc, {1ULL << 60}, 0);
  const wire::HeapBlocks at = book.blocks_at(0, 1);
  EXPECT_TRUE(at.holding.empty());
  EXPECT_FALSE(at.below);
  EXPECT_FALSE(at.above);
  EXPECT_EQ(at.calls, 1U) << "it was a call all the same";
}

TEST(AllocationLog, ACountTimesASizeThatOverflowsIsNotSmall) {
  Book book;
  const std::uint64_t half = 1ULL << 33;
  book.make(kCalloc, {half, half}, 0);
  EXPECT_TRUE(book.blocks_at(0x5000, 1).holding.empty());
  // reallocarray fails the same way: the old block stays, although the wrapped product is 0.
  book.make(kMalloc, {32}, 0x5000);
  book.make(kReallocarray, {0x5000, half, half}, 0);
  const wire::HeapBlocks at = book.blocks_at(0x5000, 1);
  ASSERT_EQ(at.holding.size(), 1U);
  EXPECT_FALSE(at.holding[0].released);
  // An allocator that does not check: what was asked for is more than any address space.
  book.make(kCalloc, {half, half}, 0x9000);
  EXPECT_EQ(book.blocks_at(0x9000, 1).holding[0].size, std::numeric_limits<std::uint64_t>::max());
}

TEST(AllocationLog, ReallocEndsOneBlockAndBeginsAnother) {
  Book book;
  book.make(kMalloc, {16}, 0x5000);
  book.make(kRealloc, {0x5000, 64}, 0x6000);
  const wire::HeapBlocks old = book.blocks_at(0x5008, 1);
  ASSERT_EQ(old.holding.size(), 1U);
  ASSERT_TRUE(old.holding[0].released);
  EXPECT_EQ(old.holding[0].released->function, kRealloc);
  const wire::HeapBlocks moved = book.blocks_at(0x6000, 1);
  ASSERT_EQ(moved.holding.size(), 1U);
  EXPECT_EQ(moved.holding[0].size, 64U);
  EXPECT_EQ(moved.holding[0].allocated.ordinal, old.holding[0].released->ordinal);

  // In place: both are at one address, the living one first.
  book.make(kRealloc, {0x6000, 128}, 0x6000);
  const wire::HeapBlocks grown = book.blocks_at(0x6000, 1);
  ASSERT_EQ(grown.holding.size(), 2U);
  EXPECT_EQ(grown.holding[0].size, 128U);
  EXPECT_FALSE(grown.holding[0].released);
  EXPECT_EQ(grown.holding[1].size, 64U);
  EXPECT_TRUE(grown.holding[1].released);
  EXPECT_TRUE(grown.stray.empty());
}

TEST(AllocationLog, ReallocToNothingFreesAndAFailureDoesNot) {
  Book book;
  book.make(kMalloc, {16}, 0x5000);
  book.make(kRealloc, {0x5000, 1ULL << 60}, 0);
  EXPECT_FALSE(book.blocks_at(0x5000, 1).holding.at(0).released) << "out of memory";
  book.make(kRealloc, {0x5000, 0}, 0);
  EXPECT_TRUE(book.blocks_at(0x5000, 1).holding.at(0).released) << "glibc's way to free";
  // Other allocators hand out a block of no bytes.
  book.make(kMalloc, {16}, 0x7000);
  book.make(kRealloc, {0x7000, 0}, 0x8000);
  EXPECT_TRUE(book.blocks_at(0x7000, 1).holding.at(0).released);
  ASSERT_EQ(book.blocks_at(0x8000, 1).holding.size(), 1U);
  EXPECT_EQ(book.blocks_at(0x8000, 1).holding[0].size, 0U);
}

TEST(AllocationLog, WhatAnAllocatorCallsIsItsOwn) {
  Book book;
  // operator new calls malloc.
  ASSERT_TRUE(book.on_entry(call(kNew, {40}, 1, kTop)));
  EXPECT_FALSE(book.on_entry(call(kMalloc, {40}, 1, kTop - 32)));
  EXPECT_FALSE(book.returns(1, kTop - 24)) << "not the inner call's return";
  ASSERT_TRUE(book.returns(1, kTop + 8));
  book.on_return(1, 0x5000);
  wire::HeapBlocks at = book.blocks_at(0x5000, 1);
  ASSERT_EQ(at.holding.size(), 1U);
  EXPECT_EQ(at.holding[0].allocated.function, kNew);
  EXPECT_EQ(at.calls, 1U);

  // realloc frees the old block by itself: the release is realloc's.
  ASSERT_TRUE(book.on_entry(call(kRealloc, {0x5000, 80}, 1, kTop)));
  EXPECT_FALSE(book.on_entry(call(kMalloc, {80}, 1, kTop - 64)));
  EXPECT_FALSE(book.on_entry(call(kFree, {0x5000}, 1, kTop - 64)));
  book.on_return(1, 0x6000);
  EXPECT_EQ(book.blocks_at(0x5000, 1).holding.at(0).released->function, kRealloc);
  EXPECT_TRUE(book.blocks_at(0x5000, 1).stray.empty());
}

TEST(AllocationLog, ADeleteThatCallsFreeIsOneRelease) {
  for (const std::uint64_t depth : {std::uint64_t{0}, std::uint64_t{16}}) {  // a jump, a call
    Book book;
    book.make(kNew, {40}, 0x5000);
    EXPECT_FALSE(book.on_entry(call(kDelete, {0x5000}, 1, kTop)));
    book.free(0x5000, 1, kTop - depth);
    const wire::HeapBlocks at = book.blocks_at(0x5000, 1);
    EXPECT_EQ(at.holding.at(0).released->function, kDelete);
    EXPECT_TRUE(at.stray.empty()) << depth;
  }
}

TEST(AllocationLog, ASecondReleaseIsAStray) {
  Book book;
  book.make(kMalloc, {40}, 0x5000);
  book.free(0x5000);
  book.free(0x5000, 1, kTop - 64);
  wire::HeapBlocks at = book.blocks_at(0x5000, 1);
  ASSERT_EQ(at.stray.size(), 1U);
  EXPECT_EQ(at.stray[0].ordinal, 3U);
  EXPECT_EQ(at.holding.at(0).released->ordinal, 2U) << "the first release ended the block";
  // Another thread's free is none that the first one's made.
  EXPECT_FALSE(book.on_entry(call(kDelete, {0x5000}, 2, kTop - 4096)));
  at = book.blocks_at(0x5000, 1);
  ASSERT_EQ(at.stray.size(), 2U);
  EXPECT_EQ(at.stray[0].ordinal, 4U) << "newest first";
  // A pointer into a block, and one that never was in any.
  book.make(kMalloc, {40}, 0x6000);
  book.free(0x6010);
  book.free(0xdead0000);
  EXPECT_EQ(book.blocks_at(0x6010, 1).stray.size(), 1U);
  EXPECT_FALSE(book.blocks_at(0x6010, 1).holding.at(0).released);
  EXPECT_EQ(book.blocks_at(0xdead0000, 1).stray.size(), 1U);
  EXPECT_TRUE(book.blocks_at(0x6000, 1).stray.empty());
}

TEST(AllocationLog, FreeOfNullIsNothing) {
  Book book;
  book.free(0);
  EXPECT_TRUE(book.blocks_at(0, 1).stray.empty());
  EXPECT_EQ(book.calls(), 1U);
}

TEST(AllocationLog, ACallThatNeverReturnedIsForgotten) {
  Book book;
  // malloc was left by longjmp (a signal handler's, say), to a frame further out on the stack.
  ASSERT_TRUE(book.on_entry(call(kMalloc, {16}, 1, kTop - 256)));
  ASSERT_TRUE(book.on_entry(call(kMalloc, {32}, 1, kTop))) << "not called by the one that was left";
  EXPECT_FALSE(book.returns(1, kTop - 248));
  ASSERT_TRUE(book.returns(1, kTop + 8));
  book.on_return(1, 0x5000);
  ASSERT_EQ(book.blocks_at(0x5000, 1).holding.size(), 1U);
  EXPECT_EQ(book.blocks_at(0x5000, 1).holding[0].size, 32U);
  // At the same place of the stack, too: the caller calls again.
  ASSERT_TRUE(book.on_entry(call(kMalloc, {48}, 1, kTop)));
  ASSERT_TRUE(book.on_entry(call(kMalloc, {64}, 1, kTop)));
  book.on_return(1, 0x6000);
  EXPECT_EQ(book.blocks_at(0x6000, 1).holding.at(0).size, 64U);
  book.on_return(1, 0x7000);
  EXPECT_TRUE(book.blocks_at(0x7000, 1).holding.empty()) << "a return that nothing waits for";
  // A release ends the wait as well.
  ASSERT_TRUE(book.on_entry(call(kMalloc, {80}, 1, kTop - 64)));
  book.free(0x6000);
  EXPECT_FALSE(book.returns(1, kTop - 56));
}

TEST(AllocationLog, ThreadsDoNotDisturbEachOther) {
  Book book;
  // Each is inside a call while the others enter theirs; their stacks are anywhere.
  ASSERT_TRUE(book.on_entry(call(kMalloc, {16}, 1, 0x7f0000)));
  ASSERT_TRUE(book.on_entry(call(kMalloc, {32}, 2, 0x6f0000)));
  ASSERT_TRUE(book.on_entry(call(kCalloc, {4, 12}, 3, 0x8f0000)));
  EXPECT_FALSE(book.returns(1, 0x6f0008));
  EXPECT_FALSE(book.returns(4, 0x7f0008));
  book.on_return(2, 0x5020);
  book.on_return(3, 0x5040);
  book.on_return(1, 0x5000);
  EXPECT_EQ(book.blocks_at(0x5000, 1).holding.at(0).size, 16U);
  EXPECT_EQ(book.blocks_at(0x5020, 1).holding.at(0).size, 32U);
  EXPECT_EQ(book.blocks_at(0x5040, 1).holding.at(0).size, 48U);
  // A block is freed by whom it likes.
  book.free(0x5020, 3);
  EXPECT_EQ(book.blocks_at(0x5020, 1).holding.at(0).released->position.thread, 3);
  // Each thread's newest call.
  EXPECT_EQ(book.blocks_at(0, 1).current->function, kMalloc);
  EXPECT_EQ(book.blocks_at(0, 3).current->function, kFree);
  EXPECT_FALSE(book.blocks_at(0, 4).current);
}

TEST(AllocationLog, ARecycledAddressTellsItsOwnersNewestFirst) {
  Book book;
  for (std::uint64_t i = 1; i <= 12; ++i) {
    book.make(kMalloc, {16 * i}, 0x5000);
    if (i < 12) book.free(0x5000);
  }
  const wire::HeapBlocks at = book.blocks_at(0x5000, 1);
  ASSERT_EQ(at.holding.size(), 8U) << "bounded";
  for (std::size_t i = 0; i < at.holding.size(); ++i) {
    EXPECT_EQ(at.holding[i].size, 16 * (12 - i));
    EXPECT_EQ(at.holding[i].released.has_value(), i != 0);
  }
  // Only those that reached so far.
  EXPECT_EQ(book.blocks_at(0x5000 + 16 * 10, 1).holding.size(), 2U);
}

TEST(AllocationLog, TheLivingNeighboursAreTold) {
  Book book;
  book.make(kMalloc, {16}, 0x5000);
  book.make(kMalloc, {16}, 0x6000);
  book.make(kMalloc, {16}, 0x7000);
  wire::HeapBlocks at = book.blocks_at(0x6010, 1);  // just behind the middle one
  ASSERT_TRUE(at.below && at.above);
  EXPECT_EQ(at.below->start, 0x6000U);
  EXPECT_EQ(at.above->start, 0x7000U);
  // A block that holds the address is not below it.
  at = book.blocks_at(0x6008, 1);
  EXPECT_FALSE(at.below);
  ASSERT_TRUE(at.above);
  EXPECT_EQ(at.above->start, 0x7000U);
  // The dead are no neighbours.
  book.free(0x6000);
  at = book.blocks_at(0x6010, 1);
  ASSERT_TRUE(at.below && at.above);
  EXPECT_EQ(at.below->start, 0x5000U);
  at = book.blocks_at(0x4fff, 1);
  EXPECT_FALSE(at.below);
  EXPECT_EQ(at.above->start, 0x5000U);
  at = book.blocks_at(~0ULL, 1);
  EXPECT_FALSE(at.above);
  EXPECT_EQ(at.below->start, 0x7000U);
}

TEST(AllocationLog, ABlockOfNoBytesHoldsItsOwnAddress) {
  Book book;
  book.make(kMalloc, {0}, 0x5000);
  book.make(kCalloc, {0, 8}, 0x6000);
  EXPECT_EQ(book.blocks_at(0x5000, 1).holding.size(), 1U);
  EXPECT_FALSE(book.blocks_at(0x5000, 1).below);
  const wire::HeapBlocks behind = book.blocks_at(0x5001, 1);
  EXPECT_TRUE(behind.holding.empty());
  ASSERT_TRUE(behind.below && behind.above);
  EXPECT_EQ(behind.below->start, 0x5000U);
  EXPECT_EQ(behind.above->start, 0x6000U);
  book.free(0x5000);
  EXPECT_TRUE(book.blocks_at(0x5000, 1).holding.at(0).released);
  EXPECT_TRUE(book.blocks_at(0x5000, 1).stray.empty());
}

TEST(AllocationLog, AFunctionThatWasNotAskedForIsIgnored) {
  Book book;
  wire::HeapCall odd = call(kMalloc, {16});
  odd.function = static_cast<std::uint8_t>(watched().size());
  EXPECT_FALSE(book.on_entry(odd));
  EXPECT_EQ(book.calls(), 0U);
  EXPECT_FALSE(book.blocks_at(0, 1).current);
}

TEST(AllocationLog, PastItsBoundsTheOldestGoFirst) {
  Book book;
  constexpr std::uint64_t kBase = 0x10000, kStep = 32;
  const auto start = [](std::uint64_t i) { return kBase + kStep * i; };
  const std::uint64_t most = AllocationLog::kMaxBlocks;
  for (std::uint64_t i = 0; i < most; ++i) {
    ASSERT_TRUE(book.on_entry(call(kMalloc, {16})));
    book.on_return(1, start(i));
    if (i == 0) book.free(start(0));
  }
  EXPECT_TRUE(book.blocks_at(start(0), 1).complete);
  EXPECT_EQ(book.blocks_at(start(0), 1).holding.size(), 1U);
  // Stacks are kept with the newest blocks only, the rest of an old call stays.
  const std::uint64_t oldest_stack = most - AllocationLog::kMaxStacks;
  EXPECT_TRUE(book.blocks_at(start(0), 1).holding.at(0).allocated.stack.empty());
  EXPECT_TRUE(book.blocks_at(start(0), 1).holding.at(0).released->stack.empty());
  EXPECT_TRUE(book.blocks_at(start(oldest_stack - 1), 1).holding.at(0).allocated.stack.empty());
  EXPECT_EQ(book.blocks_at(start(oldest_stack), 1).holding.at(0).allocated.stack.size(), 8U);
  EXPECT_EQ(book.blocks_at(start(oldest_stack - 1), 1).holding.at(0).allocated.ordinal,
            oldest_stack + 1)
      << "one release was among the calls";

  // The address of the oldest block, which is free, is handed out again: that one must stay.
  ASSERT_TRUE(book.on_entry(call(kMalloc, {24})));
  book.on_return(1, start(0));
  wire::HeapBlocks at = book.blocks_at(start(0), 1);
  EXPECT_FALSE(at.complete) << "something was forgotten";
  ASSERT_EQ(at.holding.size(), 1U);
  EXPECT_EQ(at.holding[0].size, 24U);
  ASSERT_TRUE(at.above);
  EXPECT_EQ(at.above->start, start(1));
  ASSERT_TRUE(book.blocks_at(start(0) + 24, 1).below) << "and is living";
  EXPECT_EQ(book.blocks_at(start(0) + 24, 1).below->start, start(0));
  // Now the oldest one is living: it is forgotten whole, its release is a stray.
  ASSERT_TRUE(book.on_entry(call(kMalloc, {16})));
  book.on_return(1, start(most));
  EXPECT_TRUE(book.blocks_at(start(1), 1).holding.empty());
  EXPECT_EQ(book.blocks_at(start(0), 1).above->start, start(2));
  book.free(start(1));
  EXPECT_EQ(book.blocks_at(start(1), 1).stray.size(), 1U);
  // The others are still found by their number.
  book.free(start(2));
  EXPECT_TRUE(book.blocks_at(start(2), 1).holding.at(0).released);
  EXPECT_EQ(book.blocks_at(start(most - 1) + 15, 1).holding.at(0).start, start(most - 1));
}

TEST(AllocationLog, StraysAreBounded) {
  Book book;
  for (std::uint64_t i = 0; i <= AllocationLog::kMaxStrays; ++i) book.free(0x100000 + 16 * i);
  EXPECT_TRUE(book.blocks_at(0x100000, 1).stray.empty()) << "the oldest is forgotten";
  EXPECT_EQ(book.blocks_at(0x100010, 1).stray.size(), 1U);
  for (int i = 0; i < 20; ++i) book.free(0x5000);
  const wire::HeapBlocks at = book.blocks_at(0x5000, 1);
  ASSERT_EQ(at.stray.size(), 8U);
  EXPECT_GT(at.stray[0].ordinal, at.stray[7].ordinal);
}

}  // namespace
}  // namespace culprit::agent
