#include "report/formats/html.h"

#include <gtest/gtest.h>

#include <string>

#include "report/formats/format.h"
#include "report/formats/html_page.h"
#include "report/formats/html_picture.h"
#include "report/formats/sha256.h"
#include "report/presentable.h"
#include "report/sample_reports.h"

namespace culprit::report {
namespace {

std::string hex(std::string_view data) {
  std::string out;
  for (const std::uint8_t byte : sha256(data)) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

// The examples of FIPS 180-4, and the lengths around a block's end.
TEST(Sha256, KnownDigests) {
  EXPECT_EQ(hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(csp_hash(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

TEST(Html, LoadsNothing) {
  std::string page = render(long_report(20), Format::html);
  // The arrows' tip is a part of the page itself.
  constexpr std::string_view kTip = "url(#tip)";
  for (std::size_t at = 0; (at = page.find(kTip)) != std::string::npos;)
    page.erase(at, kTip.size());
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
  EXPECT_NE(page.find(csp_hash(kPageStyle)), std::string::npos);
  EXPECT_NE(page.find(csp_hash(kPageScript)), std::string::npos);
  for (const char* loader : {"src=", "url(", "@import", "http:", "https:", "<link rel=\"style",
                             "<iframe", "<object", "<embed", "style=\"", "onclick", "onload"}) {
    EXPECT_EQ(page.find(loader), std::string::npos) << loader;
  }
}

// Without these a browser would end the element early.
TEST(Html, StyleAndScriptDoNotEndThemselves) {
  EXPECT_EQ(kPageStyle.find("</"), std::string::npos);
  EXPECT_EQ(kPageScript.find("</"), std::string::npos);
  EXPECT_EQ(kPageScript.find("<!--"), std::string::npos);
  EXPECT_EQ(kPageScript.find("innerHTML"), std::string::npos);
}

TEST(Html, EachHopHasItsPlace) {
  const std::string page = render(long_report(20), Format::html);
  for (int i = 0; i < 21; ++i) {
    const std::string id = "id=\"hop-" + std::to_string(i) + "\"";
    EXPECT_NE(page.find(id), std::string::npos) << id;
  }
  EXPECT_NE(page.find("class=\"row hit\""), std::string::npos);
}

TEST(Picture, NothingWithoutHops) { EXPECT_EQ(chain_picture(presentable(minimal_report())), ""); }

TEST(Picture, DrawsAtMostSoMuch) {
  const std::string svg = chain_picture(presentable(long_report(1000)));
  EXPECT_LT(svg.size(), 300'000U);
  std::size_t nodes = 0;
  for (std::size_t at = 0; (at = svg.find("class=\"node", at)) != std::string::npos; ++at) ++nodes;
  EXPECT_EQ(nodes, 120U);
}

}  // namespace
}  // namespace culprit::report
