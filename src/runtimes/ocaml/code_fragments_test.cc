#include "runtimes/ocaml/code_fragments.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <utility>

#include "runtimes/go/fake_memory.h"

namespace culprit::runtimes::ocaml {
namespace {

using go::testing::FakeMemory;
using Range = std::pair<std::uint64_t, std::uint64_t>;

constexpr std::uint64_t kTable = 0x10000, kCells = 0x20000, kRecords = 0x30000;
constexpr std::uint64_t kStride = 0x100;

Layout layout_of(FragmentTable kind) {
  Layout layout;
  layout.table = Address{kTable};
  layout.table_kind = kind;
  if (kind == FragmentTable::skiplist) layout.cell_forward = 16;
  return layout;
}

/// A table of OCaml 5.1: cell 0 is the head, the last one the tail. Ranges ascend.
void lay_lock_free(FakeMemory& memory, std::initializer_list<Range> ranges) {
  const std::uint64_t tail = kCells + kStride * (ranges.size() + 1);
  memory.put(Address{kTable}, kCells);
  memory.put(Address{kTable + 8}, tail);
  std::uint64_t i = 1;
  memory.put(Address{kCells + 40}, kCells + kStride);
  for (const auto& [start, end] : ranges) {
    const std::uint64_t cell = kCells + kStride * i, record = kRecords + kStride * i;
    memory.put(Address{cell}, start);
    memory.put(Address{cell + 8}, record);
    memory.put(Address{cell + 40}, cell + kStride);
    memory.put(Address{record}, start);
    memory.put(Address{record + 8}, end);
    memory.put(Address{record + 16}, i);
    ++i;
  }
  memory.put(Address{tail}, ~std::uint64_t{0});
}

TEST(CodeFragments, TheRangeWithTheLargestStartBelowTheAddressDecides) {
  FakeMemory memory;
  lay_lock_free(memory, {{0x1000, 0x101c}, {0x2000, 0x2010}, {0x3000, 0x4000}});
  const Layout layout = layout_of(FragmentTable::lock_free_skiplist);
  const auto first = fragment_at(layout, Address{0x101b}, memory);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->range, (ByteRange{Address{0x1000}, 0x1c}));
  EXPECT_EQ(first->number, 1U);
  EXPECT_EQ(first->record, Address{kRecords + kStride});
  EXPECT_FALSE(fragment_at(layout, Address{0x101c}, memory)) << "one past the end";
  EXPECT_FALSE(fragment_at(layout, Address{0xfff}, memory)) << "below all";
  ASSERT_TRUE(fragment_at(layout, Address{0x2000}, memory));
  EXPECT_EQ(fragment_at(layout, Address{0x3fff}, memory)->number, 3U);
  EXPECT_FALSE(fragment_at(layout, Address{~std::uint64_t{0}}, memory)) << "the tail is no cell";
}

TEST(CodeFragments, ARemovedCellsMarkIsNoPartOfItsPointer) {
  FakeMemory memory;
  lay_lock_free(memory, {{0x1000, 0x101c}, {0x2000, 0x2010}});
  memory.put(Address{kCells + kStride + 40}, (kCells + 2 * kStride) | 1);
  EXPECT_TRUE(fragment_at(layout_of(FragmentTable::lock_free_skiplist), Address{0x2004}, memory));
}

TEST(CodeFragments, TheOlderTableIsReadToo) {
  FakeMemory memory;
  memory.put(Address{kTable}, kCells);
  memory.put(Address{kCells}, 0x1000);
  memory.put(Address{kCells + 8}, kRecords);
  memory.put(Address{kCells + 16}, 0);
  memory.put(Address{kRecords}, 0x1000);
  memory.put(Address{kRecords + 8}, 0x1010);
  EXPECT_TRUE(fragment_at(layout_of(FragmentTable::skiplist), Address{0x1008}, memory));
  EXPECT_FALSE(fragment_at(layout_of(FragmentTable::skiplist), Address{0x1010}, memory));
}

TEST(CodeFragments, DamageIsNoFragment) {
  const Layout layout = layout_of(FragmentTable::lock_free_skiplist);
  FakeMemory memory;
  EXPECT_FALSE(fragment_at(layout, Address{0x1000}, memory)) << "nothing can be read";
  EXPECT_FALSE(fragment_at(Layout{}, Address{0x1000}, memory)) << "no table known";
  lay_lock_free(memory, {{0x1000, 0x101c}});
  memory.put(Address{kCells + kStride + 40}, kCells + kStride);  // a cell that follows itself
  EXPECT_TRUE(fragment_at(layout, Address{0x1004}, memory));
  memory.put(Address{kRecords + kStride + 8}, 0xfff);  // ends before it starts
  EXPECT_FALSE(fragment_at(layout, Address{0x1004}, memory));
  memory.put(Address{kCells + kStride + 40}, 0xdead0000);  // leads nowhere
  EXPECT_FALSE(fragment_at(layout, Address{0x5000}, memory));
}

}  // namespace
}  // namespace culprit::runtimes::ocaml
