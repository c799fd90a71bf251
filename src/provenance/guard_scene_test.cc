#include "provenance/guard_scene.h"

#include <gtest/gtest.h>

namespace culprit::provenance {
namespace {

CheckedValue checked(std::uint64_t value, std::uint32_t size = 8,
                     ValueSource::Kind kind = ValueSource::Kind::memory) {
  CheckedValue out;
  out.value = value;
  out.size = size;
  out.source.source.kind = kind;
  return out;
}

TEST(ChooseRefused, AnOrderOfUnsignedNumbersBlamesTheLarger) {
  EXPECT_EQ(choose_refused(Relation::unsigned_order, {checked(~std::uint64_t{0}), checked(3)}), 0U);
  EXPECT_EQ(choose_refused(Relation::unsigned_order, {checked(3), checked(7)}), 1U);
}

TEST(ChooseRefused, AnOrderOfSignedNumbersBlamesTheNegativeOne) {
  EXPECT_EQ(choose_refused(Relation::signed_order, {checked(3, 4), checked(0xffffffff, 4)}), 1U);
  EXPECT_EQ(choose_refused(Relation::signed_order, {checked(0xffffffff, 4), checked(3, 4)}), 0U);
  EXPECT_EQ(choose_refused(Relation::signed_order, {checked(9, 4), checked(3, 4)}), 0U);
}

TEST(ChooseRefused, AnEqualityBlamesWhatIsNoConstant) {
  const auto constant = checked(5, 8, ValueSource::Kind::immediate);
  EXPECT_EQ(choose_refused(Relation::equality, {constant, checked(3)}), 1U);
  EXPECT_EQ(choose_refused(Relation::equality, {checked(3), constant}), 0U);
  EXPECT_EQ(choose_refused(Relation::equality, {checked(3), checked(4)}), 0U);
}

TEST(ChooseRefused, OneValueIsTheOne) {
  EXPECT_EQ(choose_refused(Relation::sign, {checked(1)}), 0U);
  EXPECT_EQ(choose_refused(Relation::unsigned_order, {}), 0U);
}

}  // namespace
}  // namespace culprit::provenance
