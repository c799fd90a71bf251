#include "bundle/manifest.h"

#include <gtest/gtest.h>

#include <string>

namespace culprit::bundle {
namespace {

TEST(Manifest, RoundTrip) {
  Manifest manifest;
  manifest.tool_version = "0.1.0";
  manifest.cpu = "GenuineIntel family 6 model 143";
  manifest.process = 4711;
  manifest.files = 12;
  manifest.bytes = std::uint64_t{5} << 32;
  manifest.may_hold = {"mapped file: \xff\n"};  // any bytes
  const auto read = parse_manifest(to_text(manifest));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->tool_version, manifest.tool_version);
  EXPECT_EQ(read->cpu, manifest.cpu);
  EXPECT_EQ(read->process, 4711);
  EXPECT_EQ(read->files, 12U);
  EXPECT_EQ(read->bytes, manifest.bytes);
  EXPECT_EQ(read->may_hold.size(), 1U);
}

TEST(Manifest, WhatIsNoneIsRefused) {
  const std::string sizes = R"("process": 1, "files": 1, "bytes": 1)";
  for (const std::string& text :
       {std::string(""), std::string("{"), std::string("[]"), std::string("{}"),
        std::string("null"), R"({"culprit_bundle": 2, )" + sizes + "}",
        R"({"culprit_bundle": "1", )" + sizes + "}", std::string(R"({"culprit_bundle": 1})"),
        std::string(R"({"culprit_bundle": 1, "process": -1, "files": 1, "bytes": 1})"),
        std::string(R"({"culprit_bundle": 1, "process": 1, "files": 1.5, "bytes": 1})"),
        std::string(R"({"culprit_bundle": 1, "process": 1, "files": 1, "bytes": 1e30})"),
        std::string(R"({"culprit_bundle": 1, "process": 5000000, "files": 1, "bytes": 1})"),
        std::string(60'000, '['), std::string(100'000, ' ')}) {
    const auto read = parse_manifest(text);
    ASSERT_FALSE(read.ok()) << text.substr(0, 100);
    EXPECT_EQ(read.error().code, ErrorCode::bad_input);
  }
}

}  // namespace
}  // namespace culprit::bundle
