// The scheduler's structures, well-formed and hostile.
#include "runtimes/go/threads.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "runtimes/go/fake_memory.h"
#include "runtimes/go/go_program.h"

namespace culprit::runtimes::go {
namespace {

using testing::FakeMemory;
using testing::FakeRuntime;

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
/// The documented limit of machine_of, and the reads of one entry: procid and alllink.
constexpr std::uint64_t kMaxMachineReads = 2 * 100'000 + 16;

class GoThreads : public testing::GoProgramTest {
 protected:
  // Offsets into a structure, as an Address takes them.
  static Address at(Address base, std::uint64_t offset) {
    return base + static_cast<std::int64_t>(offset);
  }
  FakeMemory memory_;
};

TEST_P(GoThreads, AreFoundByTheirKernelId) {
  FakeRuntime runtime(layout_, memory_);
  const Address g0 = runtime.add_g(0, {Address{0x7f0000000000}, 0x10000});
  const Address g1 = runtime.add_g(1, {Address{0xc100000000}, 0x8000});
  const Address signal = runtime.add_g(0, {Address{0xc200000000}, 0x8000});
  const Address first = runtime.add_m(4001, g0, g1, signal);
  const Address idle = runtime.add_m(4002, g0, Address{});
  runtime.add_m(0, g0, Address{});  // created, not yet running

  const auto found = machine_of(layout_, ThreadId{4001}, memory_);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->address, first);
  EXPECT_EQ(found->g0, g0);
  EXPECT_EQ(found->curg, g1);
  EXPECT_EQ(found->gsignal, signal);
  const auto other = machine_of(layout_, ThreadId{4002}, memory_);
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->address, idle);
  EXPECT_FALSE(other->curg);
  EXPECT_FALSE(machine_of(layout_, ThreadId{4003}, memory_).has_value());
}

TEST_P(GoThreads, ACycleInTheListOfMachinesEnds) {
  FakeRuntime runtime(layout_, memory_);
  const Address only = runtime.add_m(1, {}, {});
  memory_.put(at(only, layout_.m_alllink), only);
  memory_.reset_counts();
  EXPECT_FALSE(machine_of(layout_, ThreadId{2}, memory_).has_value());
  EXPECT_LE(memory_.reads(), kMaxMachineReads);

  const Address second = runtime.add_m(3, {}, {});  // links to the first
  memory_.put(at(only, layout_.m_alllink), second);
  memory_.reset_counts();
  EXPECT_FALSE(machine_of(layout_, ThreadId{2}, memory_).has_value());
  EXPECT_LE(memory_.reads(), kMaxMachineReads);
  EXPECT_TRUE(machine_of(layout_, ThreadId{1}, memory_).has_value());
}

TEST_P(GoThreads, UnreadableMachinesAreNoMachines) {
  EXPECT_FALSE(machine_of(layout_, ThreadId{1}, memory_).has_value());  // not even the list's head
  for (const std::uint64_t wild : {std::uint64_t{8}, std::uint64_t{0xdead0000}, kMost, kMost - 8,
                                   kMost - layout_.m_procid, std::uint64_t{1} << 63U}) {
    memory_.put(layout_.allm, wild);
    EXPECT_FALSE(machine_of(layout_, ThreadId{1}, memory_).has_value()) << wild;
  }
  // A readable one whose other fields are on a page that is not.
  const Address page{0x7000000000};
  const Address m = page - static_cast<std::int64_t>(layout_.m_procid) - 8;
  memory_.put(at(m, layout_.m_procid), std::uint64_t{1});
  memory_.put(layout_.allm, m);
  const auto found = machine_of(layout_, ThreadId{1}, memory_);
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->curg);
}

TEST_P(GoThreads, AGoroutineIsReadWhole) {
  FakeRuntime runtime(layout_, memory_);
  const Address g = runtime.add_g(7, {Address{0xc100000000}, 0x8000});
  runtime.set_sched(g, Address{0xc100007000}, Address{0x401000}, Address{0xc100007010});
  const auto found = read_goroutine(layout_, g, memory_);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->address, g);
  EXPECT_EQ(found->id, 7U);
  EXPECT_EQ(found->stack, (ByteRange{Address{0xc100000000}, 0x8000}));
  EXPECT_EQ(found->sched_sp, Address{0xc100007000});
  EXPECT_EQ(found->sched_pc, Address{0x401000});
  EXPECT_EQ(found->sched_bp, Address{0xc100007010});
}

TEST_P(GoThreads, ABrokenGoroutineHasNoStack) {
  FakeRuntime runtime(layout_, memory_);
  const Address g = runtime.add_g(7, {Address{0xc100000000}, 0x8000});
  memory_.put(at(g, layout_.g_stack_hi), std::uint64_t{0xc0ffffffff});  // below lo
  const auto found = read_goroutine(layout_, g, memory_);
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->stack.empty());
  EXPECT_FALSE(read_goroutine(layout_, Address{}, memory_).has_value());
  EXPECT_FALSE(read_goroutine(layout_, Address{kMost - 4}, memory_).has_value());
  memory_.drop(g);
  EXPECT_FALSE(read_goroutine(layout_, g, memory_).has_value());
}

TEST_P(GoThreads, ASliceIsReadUpToItsLimitAndItsLastReadablePage) {
  const Address slice{0x5000}, array{0x20000};
  for (std::uint64_t i = 0; i < 600; ++i) memory_.put(at(array, 8 * i), i + 1);  // on two pages
  memory_.put(slice, array);
  memory_.put(slice + 8, std::uint64_t{5});
  EXPECT_EQ(read_pointer_slice(slice, 100, memory_),
            (std::vector<Address>{{1}, {2}, {3}, {4}, {5}}));
  EXPECT_EQ(read_pointer_slice(slice, 2, memory_), (std::vector<Address>{{1}, {2}}));
  EXPECT_TRUE(read_pointer_slice(slice, 0, memory_).empty());
  EXPECT_TRUE(read_pointer_slice(Address{}, 100, memory_).empty());
  EXPECT_TRUE(read_pointer_slice(Address{0x90000}, 100, memory_).empty());

  for (const std::uint64_t length : {kMost, kMost / 8, std::uint64_t{1} << 61U}) {
    memory_.put(slice + 8, length);
    memory_.reset_counts();
    EXPECT_EQ(read_pointer_slice(slice, 100, memory_).size(), 100U);
    EXPECT_LE(memory_.bytes(), 16U + 800U);
    EXPECT_EQ(read_pointer_slice(slice, 100'000, memory_).size(), 1024U);  // what is readable
  }
  // Elements at the end of the address space, and a slice that is its own array.
  memory_.put(slice, kMost - 3);
  EXPECT_TRUE(read_pointer_slice(slice, 100, memory_).empty());
  memory_.put(slice, slice);
  memory_.put(slice + 8, std::uint64_t{2});
  EXPECT_EQ(read_pointer_slice(slice, 100, memory_), (std::vector<Address>{slice, {2}}));
}

INSTANTIATE_TEST_SUITE_P(Toolchains, GoThreads, ::testing::ValuesIn(testing::toolchains()),
                         testing::toolchain_name);

}  // namespace
}  // namespace culprit::runtimes::go
