#include "crash/overrides.h"

#include <gtest/gtest.h>

#include <string>

#include "crash/front_end.h"

namespace culprit::crash {
namespace {

constexpr std::string_view kText =
    "runtime: pointer 0xc000541fe0 to unused region of span span.base()=0xc0004fc000 "
    "span.limit=0xc0004fdfe0 span.state=1\n"
    "runtime: found in object at *(0xc000457180+0x80)\n"
    "fatal error: found bad pointer in Go heap (incorrect use of unsafe or cgo?)\n";

TEST(ParseHex, AcceptsHexadecimalOnly) {
  EXPECT_EQ(parse_hex("--pointer", "0xc000100000").value(), 0xc000100000U);
  EXPECT_EQ(parse_hex("--pointer", "C000100000").value(), 0xc000100000U);
  EXPECT_EQ(parse_hex("--pointer", "0x0").value(), 0U);
  EXPECT_EQ(parse_hex("--pointer", "0x0000000000000000000000ff").value(), 0xffU);
  EXPECT_EQ(parse_hex("--pointer", "ffffffffffffffff").value(), ~std::uint64_t{0});
}

TEST(ParseHex, ErrorsNameTheOptionAndTheText) {
  for (const char* bad : {"", "0x", "12g4", " 0x1", "0x1 ", "-0x1", "+1", "0x1h", "0x0x1",
                          "0x1ffffffffffffffff", "page->b"}) {
    const auto result = parse_hex("--pointer", bad);
    ASSERT_FALSE(result.ok()) << bad;
    EXPECT_EQ(result.error().code, ErrorCode::usage);
    EXPECT_NE(result.error().message.find("--pointer"), std::string::npos);
    EXPECT_NE(result.error().message.find(bad), std::string::npos);
  }
  const auto huge = parse_hex("--address", std::string(1 << 20, 'z'));
  EXPECT_LT(huge.error().message.size(), 200U);
}

TEST(Overrides, WithoutAnyThePlainReportsComeBack) {
  EXPECT_TRUE(Overrides{}.empty());
  EXPECT_EQ(parse_with_overrides({}, kText, {}), parse(kText, {}));
  EXPECT_TRUE(parse_with_overrides({}, "", {}).empty());
}

TEST(Overrides, APointerOfTheTextKeepsWhatTheTextKnows) {
  Overrides overrides;
  overrides.pointer = 0xc000541fe0;
  const auto reports = parse_with_overrides(overrides, kText, {});
  ASSERT_EQ(reports.size(), 1U);
  ASSERT_EQ(reports[0].suspects.size(), 1U);
  EXPECT_EQ(reports[0].suspects[0].slot, Address{0xc000457200});
  EXPECT_EQ(reports[0].suspects[0].span->start, Address{0xc0004fc000});
}

TEST(Overrides, AnotherPointerGoesFirst) {
  Overrides overrides;
  overrides.pointer = 0x1234;
  overrides.address = Address{0x5678};
  const auto reports = parse_with_overrides(overrides, kText, {});
  ASSERT_EQ(reports[0].suspects.size(), 2U);
  EXPECT_EQ(reports[0].suspects[0].value, 0x1234U);
  EXPECT_EQ(reports[0].suspects[0].slot, Address{0x5678});
  EXPECT_EQ(reports[0].suspects[1].value, 0xc000541fe0U);
  EXPECT_EQ(reports[0].kind, Kind::go_bad_pointer);
}

TEST(Overrides, AnAddressAloneMakesASlot) {
  Overrides overrides;
  overrides.address = Address{0x5678};
  const auto reports = parse_with_overrides(overrides, "", {});
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].kind, Kind::user_named);
  EXPECT_EQ(reports[0].suspects[0].role, Role::slot);
  EXPECT_FALSE(reports[0].suspects[0].value);
}

TEST(Overrides, AReportFileStandsForTheOutput) {
  Overrides overrides;
  overrides.report_text = std::string(kText);
  const auto reports = parse_with_overrides(overrides, "nothing of interest", {});
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].suspects[0].value, 0xc000541fe0U);
}

}  // namespace
}  // namespace culprit::crash
