#include "provenance/failed_check.h"

#include <gtest/gtest.h>

#include "provenance/testing/scripted_replay.h"

namespace culprit::provenance {
namespace {

TEST(FailedCheck, KnowsWhatAProgramStopsItselfWith) {
  for (const char* name :
       {"abort", "__GI_raise", "__pthread_kill_implementation", "__assert_fail", "__memcpy_chk",
        "_ZSt21__glibcxx_assert_failPKciS0_S0_", "_ZSt20__throw_length_errorPKc",
        "_ZSt24__throw_out_of_range_fmtPKcz", "_ZNSt3__122__libcpp_verbose_abortEPKcz",
        "__cxa_throw", "_ZSt9terminatev", "__cxa_pure_virtual",
        "_ZN4core9panicking18panic_bounds_check17haa0aE", "_RNvNtCsabc_4core9panicking9panic_fmt",
        "_ZN4core6option13expect_failed17h1E", "__cxa_throw.cold"}) {
    EXPECT_TRUE(stops_the_program(name)) << name;
  }
  for (const char* name :
       {"", "main", "_Znwm", "malloc", "memcpy", "_ZN3app5abortEv", "aborted", "my_chk"}) {
    EXPECT_FALSE(stops_the_program(name)) << name;
  }
}

TEST(FailedCheck, KnowsWhereTheRefusedValueIs) {
  const auto bounds = refused_argument("_ZN4core9panicking18panic_bounds_check17haa0aE");
  ASSERT_TRUE(bounds);
  EXPECT_EQ(bounds->value, Gpr::rdi);
  EXPECT_EQ(bounds->bound, Gpr::rsi);
  EXPECT_EQ(bounds->as, CheckedAs::index);
  const auto size = refused_argument("_Znwm.cold");
  ASSERT_TRUE(size);
  EXPECT_EQ(size->as, CheckedAs::size);
  EXPECT_FALSE(size->bound);
  EXPECT_EQ(refused_argument("__memset_chk")->value, Gpr::rdx);
  EXPECT_FALSE(refused_argument("__assert_fail"));
  EXPECT_FALSE(refused_argument("_ZnwmRKSt9nothrow_t")) << "it does not throw";
}

TEST(FailedCheck, KnowsWhatItIsAbout) {
  EXPECT_EQ(checked_as("_ZSt20__throw_length_errorPKc"), CheckedAs::size);
  EXPECT_EQ(checked_as("__cxa_throw_bad_array_new_length"), CheckedAs::size);
  EXPECT_EQ(checked_as("_ZSt24__throw_out_of_range_fmtPKcz"), CheckedAs::index);
  EXPECT_EQ(checked_as("__cxa_pure_virtual"), CheckedAs::virtual_table);
  EXPECT_EQ(checked_as("__assert_fail"), CheckedAs::value);
}

Moment stack_of(std::initializer_list<const char*> names) {
  Moment moment;
  for (const char* name : names) {
    WalkFrame frame;
    frame.code.symbol_linkage = name;
    moment.frames.push_back(frame);
  }
  moment.registers.rip = 0x4010;
  return moment;
}

class NoBytes : public MemoryReader {
 public:
  [[nodiscard]] std::size_t read(Address, std::span<std::byte>) const override { return 0; }
};

TEST(FailedCheck, IsTheTrapItself) {
  const auto check =
      find_failed_check(testing::bare_image(), stack_of({"f"}), Address{0x4010}, NoBytes{});
  ASSERT_TRUE(check);
  EXPECT_EQ(check->frame, 0U);
  EXPECT_EQ(check->failing, Address{0x4010});
  EXPECT_TRUE(check->function.empty());
}

TEST(FailedCheck, IsNoneWhereNobodyCalledAFailure) {
  const ProcessImage& image = testing::bare_image();
  EXPECT_FALSE(find_failed_check(image, stack_of({}), std::nullopt, NoBytes{}));
  EXPECT_FALSE(find_failed_check(image, stack_of({"f", "main"}), std::nullopt, NoBytes{}));
  EXPECT_FALSE(find_failed_check(image, stack_of({"raise", "abort"}), std::nullopt, NoBytes{}))
      << "no frame of the program's own";
  EXPECT_FALSE(find_failed_check(image, stack_of({"raise", "abort", "f"}), std::nullopt, NoBytes{}))
      << "its call cannot be read";
}

}  // namespace
}  // namespace culprit::provenance
