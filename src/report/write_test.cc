#include "report/write.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "base/file.h"
#include "report/json.h"
#include "report/sample_reports.h"

namespace culprit::report {
namespace {

TEST(Write, AFileComesBack) {
  const auto directory = TemporaryDirectory::create("report-write");
  ASSERT_TRUE(directory.ok());
  const std::string path = (directory->path() / "report.json").string();
  ASSERT_TRUE(write_report(full_report(), path).ok());
  const auto back = read_report(path);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(*back, full_report());
}

TEST(Write, StandardOutput) {
  testing::internal::CaptureStdout();
  ASSERT_TRUE(write_report(full_report(), "-").ok());
  EXPECT_EQ(testing::internal::GetCapturedStdout(), to_json_text(full_report()));
}

TEST(Write, ErrorsNameThePath) {
  const auto status = write_report(full_report(), "/nonexistent-directory/report.json");
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("/nonexistent-directory"), std::string::npos);
  const auto missing = read_report("/nonexistent-directory/report.json");
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.error().message.find("/nonexistent-directory"), std::string::npos);
}

TEST(Write, ABrokenFileIsNamed) {
  const auto directory = TemporaryDirectory::create("report-write");
  ASSERT_TRUE(directory.ok());
  const std::string path = (directory->path() / "broken.json").string();
  ASSERT_TRUE(write_output(path, "{\"schema_version\": \"1.0\"}").ok());
  const auto back = read_report(path);
  ASSERT_FALSE(back.ok());
  EXPECT_EQ(back.error().code, ErrorCode::bad_input);
  EXPECT_NE(back.error().message.find("broken.json: tool: missing"), std::string::npos);
}

}  // namespace
}  // namespace culprit::report
