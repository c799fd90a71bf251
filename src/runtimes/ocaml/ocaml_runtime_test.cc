#include "runtimes/ocaml/ocaml_runtime.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>

#include "runtimes/go/fake_memory.h"
#include "runtimes/ocaml/domains.h"
#include "runtimes/ocaml/header.h"

namespace culprit::runtimes::ocaml {
namespace {

using Role = RuntimePlace::Role;

constexpr std::uint64_t kDomains = 0x10000, kState = 0x20000, kHeap = 0x30000, kStack = 0x40000;
constexpr std::uint64_t kHandler = kStack + 0x1000;
constexpr std::uint64_t kMinor = 0x200000, kPool = 0x7fff00008000;

/// One domain, number 1 of 2, with one pool of four-word blocks.
class OcamlPlaces : public ::testing::Test {
 protected:
  void SetUp() override {
    Layout layout;
    layout.domains = Address{kDomains};
    layout.domain_count = 2;
    layout.domain_size = 0x80;
    layout.domain_state = 8;
    layout.state_young_start = 16;
    layout.state_young_end = 24;
    layout.state_current_stack = 40;
    layout.state_shared_heap = 48;
    layout.heap_owner = 8;
    layout.block_words = {1, 2, 3, 4, 5};
    layout.domains_known = true;
    memory_.put(Address{kDomains + 8}, 0);
    memory_.put(Address{kDomains + 0x80 + 8}, kState);
    memory_.put(Address{kState + 16}, kMinor);
    memory_.put(Address{kState + 24}, kMinor + 0x8000);
    memory_.put(Address{kState + 40}, kStack);
    memory_.put(Address{kState + 48}, kHeap);
    memory_.put(Address{kHeap + 8}, kState);
    memory_.put(Address{kStack + 16}, kHandler);
    memory_.put(Address{kPool + 16}, kState);
    memory_.put(Address{kPool + 24}, 3);                     // four words
    memory_.put(Address{kPool + 32 + 32}, 3 << 10 | 0x247);  // the second block: tag 0x47
    runtime_.emplace(layout);
  }
  [[nodiscard]] std::optional<RuntimePlace> place(std::uint64_t address) const {
    return runtime_->describe(Address{address}, memory_);
  }

  go::testing::FakeMemory memory_;
  std::optional<OcamlRuntime> runtime_;
};

TEST_F(OcamlPlaces, FieldsOfBlocks) {
  const auto field = place(kPool + 32 + 32 + 8 + 17);
  ASSERT_TRUE(field);
  EXPECT_EQ(field->role, Role::runtime_struct);
  EXPECT_EQ(field->name, "OCaml block 0x7fff00008048[2]");
  EXPECT_EQ(field->member, "[2]");
  EXPECT_EQ(field->type, "3 fields, tag 71");
  EXPECT_EQ(field->object, (ByteRange{Address{kPool + 64}, 32}));
  EXPECT_EQ(place(kPool + 64)->member, "header");
  EXPECT_EQ(place(kPool + 32 + 8)->type, "free block, room for 3 fields");
}

TEST_F(OcamlPlaces, PoolsStacksAndMinorHeaps) {
  EXPECT_EQ(place(kPool + 8)->name, "OCaml pool 0x7fff00008000");
  EXPECT_EQ(place(kStack)->name, "the bytecode stack of domain 1");
  EXPECT_EQ(place(kHandler + 31)->role, Role::goroutine_stack);
  EXPECT_FALSE(place(kHandler + 32));
  EXPECT_EQ(place(kMinor)->name, "the minor heap of domain 1");
  EXPECT_FALSE(place(kMinor + 0x8000));
}

TEST_F(OcamlPlaces, APoolIsOnlyWhatItsOwnersHeapKnows) {
  memory_.put(Address{kHeap + 8}, kState + 8);
  EXPECT_FALSE(place(kPool + 72));
  memory_.put(Address{kHeap + 8}, kState);
  memory_.put(Address{kPool + 24}, 99);  // no such size class
  EXPECT_FALSE(place(kPool + 72));
  memory_.put(Address{kPool + 24}, 3);
  memory_.put(Address{kPool + 16}, 0x1234);
  EXPECT_FALSE(place(kPool + 72));
}

TEST_F(OcamlPlaces, WhatIsLeftOverAtTheEndOfAPoolIsNoBlock) {
  memory_.put(Address{kPool + 24}, 4);  // five words: 4092 = 818 * 5 + 2
  memory_.put(Address{kPool + 32 + 817 * 40}, 0);
  EXPECT_EQ(place(kPool + 0x8000 - 24)->type, "free block, room for 4 fields");
  EXPECT_EQ(place(kPool + 0x8000 - 8)->name, "OCaml pool 0x7fff00008000");
}

TEST_F(OcamlPlaces, ASweepGivesTheWholeBlockUp) {
  const Collector* collector = runtime_->collector();
  ASSERT_NE(collector, nullptr);
  EXPECT_TRUE(collector->sweeps("pool_sweep"));
  EXPECT_FALSE(collector->sweeps("pool_sweeper"));
  const auto known = collector->reclaimed(Address{kPool + 32 + 16}, memory_);
  ASSERT_TRUE(known);
  EXPECT_EQ(known->reference, Address{kPool + 40});
  EXPECT_FALSE(collector->reclaimed(Address{kPool + 8}, memory_)) << "the pool's own free list";
  // In a pool that is not known, the cleared header tells.
  memory_.put(Address{0x500000}, 0);
  EXPECT_EQ(collector->reclaimed(Address{0x500008}, memory_)->reference, Address{0x500008});
  memory_.put(Address{0x500000}, 0xc00);
  EXPECT_FALSE(collector->reclaimed(Address{0x500008}, memory_));
  EXPECT_FALSE(collector->reclaimed(Address{0x900008}, memory_)) << "not readable";
}

TEST_F(OcamlPlaces, DamageIsNoDomain) {
  memory_.put(Address{kState + 24}, kMinor - 8);              // ends before it starts
  memory_.put(Address{kStack + 16}, std::uint64_t{1} << 60);  // too far away
  EXPECT_FALSE(place(kMinor));
  EXPECT_FALSE(place(kStack));
  memory_.drop(Address{kDomains});
  EXPECT_FALSE(place(kPool + 72));
}

TEST(Header, ItsPartsAreWhereMlvaluesSays) {
  constexpr Header header{std::uint64_t{5} << 10 | 3 << 8 | 250};
  EXPECT_EQ(header.wosize(), 5U);
  EXPECT_EQ(header.color(), 3U);
  EXPECT_EQ(header.tag(), 250U);
  EXPECT_FALSE(header.free());
}

}  // namespace
}  // namespace culprit::runtimes::ocaml
