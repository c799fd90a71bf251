// Pointers that are kept in another form: each rule on its shape, and on shapes that lack a
// premise.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "verdict/judge.h"
#include "verdict/rules.h"
#include "verdict/test_chains.h"

namespace culprit::verdict {
namespace {

using report::BugClass;
using report::Confidence;
using report::HopKind;
using report::Report;
using report::Source;
using report::SourceKind;
using testing::chain;
using testing::hop;

Source constant(std::uint64_t value, const std::string& instruction) {
  Source out;
  out.kind = SourceKind::immediate;
  out.value = value;
  out.instruction = instruction;
  out.pc = Address{0x1000 + value % 1009};
  return out;
}

Source given(std::uint64_t value) {
  Source out;
  out.kind = SourceKind::register_;
  out.register_name = "rdi";
  out.value = value;
  return out;
}

report::Hop computed(HopKind kind, const std::string& function, std::vector<Source> inputs) {
  report::Hop out = hop(kind, function);
  out.inputs = std::move(inputs);
  return out;
}

Report of_value(std::uint64_t value, std::vector<report::Hop> hops) {
  Report r = chain(std::move(hops));
  r.suspect->value = value;
  r.crash.fault_address = Address{value};
  return r;
}

constexpr std::uint64_t kPointer = 0x7f32'5b1c'6000;

TEST(PackedRules, TakenOutWithAnotherSecretThanItWasPutInWith) {
  const auto report_of = [](std::uint64_t in, std::uint64_t out) {
    return of_value(
        kPointer ^ in ^ out,
        {computed(HopKind::load, "get", {constant(out, "xor rax, rdx")}),
         computed(HopKind::store, "keep", {constant(in, "xor rdi, rax"), given(kPointer)})});
  };
  Report r = report_of(0x5bd1'e995, 0x5db1'e995);
  ASSERT_TRUE(unpacked_with_other_constant(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::bad_constant);
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_EQ(r.verdict.cause->function, "get");
  EXPECT_EQ(r.verdict.evidence, (std::vector<std::uint32_t>{0, 1, 2}));
  Report same = report_of(0x5bd1'e995, 0x5bd1'e995);
  EXPECT_FALSE(unpacked_with_other_constant(same));
  // The value may have been kept between: still the same computation.
  Report kept = report_of(0x5bd1'e995, 0x5db1'e995);
  kept.hops.insert(kept.hops.begin() + 1, computed(HopKind::store, "user", kept.hops[1].inputs));
  report::number_hops(kept.hops);
  ASSERT_TRUE(unpacked_with_other_constant(kept));
  EXPECT_EQ(kept.verdict.cause->function, "get");
  Report masked = r;
  masked.hops[1].inputs[0].instruction = "and rax, rdx";
  EXPECT_FALSE(unpacked_with_other_constant(masked));
  Report twice = r;  // which of the two it is cannot be told
  twice.hops[1].inputs.push_back(constant(7, "xor rax, 0x07"));
  EXPECT_FALSE(unpacked_with_other_constant(twice));
}

TEST(PackedRules, AnAddressThatLostItsUpperBits) {
  const std::uint64_t cut = kPointer & 0xff'ffff'ffff;
  Report r = of_value(cut, {computed(HopKind::store, "set_handle",
                                     {constant(0xff'ffff'ffff, "and rax, rdi"), given(kPointer)})});
  ASSERT_TRUE(lost_upper_bits(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::integer_overflow);
  EXPECT_EQ(r.verdict.cause->function, "set_handle");
  Report other = of_value(cut + 8, r.hops);
  EXPECT_FALSE(lost_upper_bits(other));
  // The pointer itself is not cut, and a mask is no pointer.
  Report whole = of_value(kPointer, r.hops);
  EXPECT_FALSE(lost_upper_bits(whole));
  Report of_mask = of_value(
      0xffff'ffff, {computed(HopKind::store, "f", {constant(0xff'ffff'ffff, "and rax, rdi")})});
  EXPECT_FALSE(lost_upper_bits(of_mask));
}

TEST(PackedRules, ATagThatWasNotTakenOff) {
  const std::uint64_t tagged = kPointer | std::uint64_t{0xfffa} << 48;
  Report r = of_value(
      tagged, {hop(HopKind::store, "push"), computed(HopKind::origin, "tag", {given(kPointer)})});
  judge(r);
  EXPECT_EQ(r.verdict.bug_class, BugClass::type_confusion);
  EXPECT_EQ(r.verdict.cause->function, "tag");
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  Report plain = of_value(kPointer, r.hops);
  EXPECT_FALSE(used_with_tag(plain));
  Report other = of_value(tagged + 16, r.hops);
  EXPECT_FALSE(used_with_tag(other));
}

}  // namespace
}  // namespace culprit::verdict
