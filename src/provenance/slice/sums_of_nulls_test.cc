#include "provenance/slice/sums_of_nulls.h"

#include <gtest/gtest.h>

#include <utility>

namespace culprit::provenance {
namespace {

constexpr ByteRange kIndex{Address{0x1000}, 8};
constexpr ByteRange kPointer{Address{0x2000}, 8};

Place reg(Gpr r) { return x86::whole(r); }

// add rax, rdx: rax was read from kIndex, rdx from kPointer.
WindowSlice sum_of_two() {
  WindowSlice slice;
  Transformation sum;
  sum.kind = x86::FlowKind::arithmetic;
  sum.result = reg(Gpr::rax);
  sum.inputs = {reg(Gpr::rax), reg(Gpr::rdx)};
  sum.input_values = {0, 0};
  sum.main_input = 0;
  sum.carries = true;
  slice.transformations = {sum};
  WindowPiece asked;
  asked.size = 8;
  asked.origin.kind = OriginKind::transformation;
  asked.origin.transformation = 0;
  slice.pieces = {asked};
  for (const std::size_t input : {std::size_t{0}, std::size_t{1}}) {
    WindowPiece piece;
    piece.size = 8;
    piece.parent = 0;
    piece.input = input;
    piece.origin.kind = OriginKind::memory;
    piece.origin.place = input == 0 ? kIndex : kPointer;
    slice.pieces.push_back(piece);
  }
  return slice;
}

std::optional<std::size_t> settled(WindowSlice slice, Address pointer = kPointer.start) {
  settle_sums_of_nulls(slice, [&](const ByteRange& at) { return at.start == pointer; });
  return slice.transformations.front().main_input;
}

TEST(SumsOfNulls, TheOneWhoseTypeIsAPointerIsGoneOnWith) {
  EXPECT_EQ(settled(sum_of_two()), 1U);
  EXPECT_EQ(settled(sum_of_two(), kIndex.start), 0U) << "it was the right one";
  EXPECT_EQ(settled(sum_of_two(), Address{0x3000}), 0U) << "no type tells";
  WindowSlice both = sum_of_two();
  settle_sums_of_nulls(both, [](const ByteRange&) { return true; });
  EXPECT_EQ(both.transformations.front().main_input, 0U) << "both are pointers";
  EXPECT_EQ(both.main_line().back(), 1U);
}

TEST(SumsOfNulls, TheWayThereIsLookedAtToo) {
  WindowSlice slice = sum_of_two();
  slice.pieces[2].origin.place.reset();
  slice.pieces[2].origin.kind = OriginKind::zero;
  EXPECT_EQ(settled(slice), 0U) << "it lay nowhere";
  PathStep load;
  load.from = kPointer;
  slice.pieces[2].path = {load};
  EXPECT_EQ(settled(slice), 1U);
  slice.pieces[2].added = 8;
  EXPECT_EQ(settled(slice), 0U) << "what lay there was not the null";
}

TEST(SumsOfNulls, OnlyWhereTheValuesDoNotTell) {
  WindowSlice slice = sum_of_two();
  slice.transformations[0].input_values = {0, 8};
  EXPECT_EQ(settled(slice), 0U);
  slice = sum_of_two();
  slice.transformations[0].index = true;
  EXPECT_EQ(settled(slice), 0U);
  slice = sum_of_two();
  slice.transformations[0].kind = x86::FlowKind::select;
  EXPECT_EQ(settled(slice), 0U);
  slice = sum_of_two();
  slice.transformations[0].inputs.pop_back();
  slice.transformations[0].input_values.pop_back();
  EXPECT_EQ(settled(slice), 0U);
}

}  // namespace
}  // namespace culprit::provenance
