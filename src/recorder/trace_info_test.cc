#include "recorder/trace_info.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "recorder/record_json.h"

namespace culprit::recorder {
namespace {

namespace fs = std::filesystem;

class ExamineTrace : public testing::Test {
 protected:
  void SetUp() override {
    auto directory = TemporaryDirectory::create("culprit-trace-test-");
    ASSERT_TRUE(directory.ok());
    directory_.emplace(std::move(directory).value());
    put("version", "85\n" + std::string(200, 'x'));
    for (const char* name : {"events", "data", "mmaps", "tasks"}) put(name, "some bytes");
  }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(path() / name, std::ios::binary) << text;
  }
  const fs::path& path() const { return directory_->path(); }
  std::string refusal() const {
    const auto info = examine_trace(path());
    if (info.ok()) return "accepted";
    EXPECT_EQ(info.error().code, ErrorCode::bad_input);
    EXPECT_EQ(info.error().message.find('\n'), std::string::npos);
    return info.error().message;
  }
  std::optional<TemporaryDirectory> directory_;
};

TEST_F(ExamineTrace, AcceptsAForeignTrace) {
  const auto info = examine_trace(path());
  ASSERT_TRUE(info.ok()) << info.error().message;
  EXPECT_EQ(info->format, 85);
  EXPECT_FALSE(info->engine.has_value());
  EXPECT_TRUE(info->command.empty());
}

TEST_F(ExamineTrace, SaysWhatIsWrong) {
  EXPECT_NE(examine_trace("/nowhere").error().message.find("no such"), std::string::npos);
  EXPECT_NE(examine_trace(path() / "events").error().message.find("not a directory"),
            std::string::npos);
  put("incomplete", "85\n");
  EXPECT_NE(refusal().find("not finished"), std::string::npos);
  fs::remove(path() / "incomplete");
  fs::remove(path() / "data");
  EXPECT_NE(refusal().find("truncated"), std::string::npos);
  put("data", "");
  EXPECT_NE(refusal().find("truncated"), std::string::npos);
  put("data", "x");
  for (const char* version : {"84\n", "0\n", "999999\n"}) {
    put("version", version + std::string(200, 'x'));
    EXPECT_NE(refusal().find("not supported"), std::string::npos) << version;
  }
  for (const char* version : {"", "85", "x85\n", "99999999999999999999\n", "\n"}) {
    put("version", version);
    EXPECT_NE(refusal().find("version"), std::string::npos) << version;
  }
  put("version", "85\n");
  EXPECT_NE(refusal().find("truncated"), std::string::npos);
  fs::remove(path() / "version");
  EXPECT_NE(refusal().find("not an rr trace"), std::string::npos);
}

TEST_F(ExamineTrace, ReadsWhatTheRecorderWrote) {
  const fs::path program = path() / "mmap_hardlink_3_program";
  put("mmap_hardlink_3_program", "#!/bin/sh\n");
  fs::permissions(program, fs::perms::owner_all);
  RecordOptions options;
  options.command = {program.string(), "an argument", "\xff broken"};
  RecordOutcome outcome;
  outcome.trace = path();
  outcome.engine = Engine::software;
  outcome.status.signal = 11;
  outcome.failure = "signal 11 (SIGSEGV)";
  outcome.out.text = "out";
  ASSERT_TRUE(write_record(options, outcome).ok());

  const auto info = examine_trace(path());
  ASSERT_TRUE(info.ok()) << info.error().message;
  EXPECT_EQ(info->engine, Engine::software);
  EXPECT_EQ(info->signal, 11);
  EXPECT_FALSE(info->exit_code.has_value());
  ASSERT_EQ(info->command.size(), 3u);
  EXPECT_EQ(info->command[1], "an argument");
  EXPECT_TRUE(info->changed_binaries.empty());
  EXPECT_TRUE(info->out.has_value());

  // Changed in place: what the trace shares with the system is not what was recorded.
  std::ofstream(program, std::ios::app) << "exit 3\n";
  EXPECT_NE(refusal().find("changed in place"), std::string::npos);
  // Gone from the trace (packed), and the program is another one.
  fs::remove(program);
  const auto packed = examine_trace(path());
  ASSERT_TRUE(packed.ok()) << packed.error().message;
  EXPECT_EQ(packed->changed_binaries.size(), 1u);
}

TEST_F(ExamineTrace, SurvivesABrokenRecordFile) {
  for (const char* text :
       {"", "{", "[]", "null", "{\"command\": 3, \"engine\": [], \"exit_code\": \"x\"}",
        "{\"program\": 1, \"shared_files\": [1, {\"file\": \"../../etc/passwd\", \"size\": 1, "
        "\"modified_ns\": 2}, {}]}",
        "{\"exit_code\": 1e400}"}) {
    put("culprit-record.json", text);
    EXPECT_EQ(refusal(), "accepted") << text;
  }
}

TEST(ExplainRrFailure, SaysItInOneLine) {
  EXPECT_EQ(explain_rr_failure(""), "");
  EXPECT_EQ(explain_rr_failure("the program's own words\n"), "");
  EXPECT_NE(explain_rr_failure("[FATAL ./src/util.cc:2161:write_all() errno: ENOSPC] Can't write")
                .find("no space"),
            std::string::npos);
  EXPECT_NE(explain_rr_failure("terminate called after throwing an instance of 'rr::IOException'")
                .find("truncated"),
            std::string::npos);
  EXPECT_EQ(explain_rr_failure("[FATAL ./src/X.cc:1:f()] Something odd\n=== Start rr backtrace:\n"),
            "rr says: Something odd");
  EXPECT_LT(explain_rr_failure("[FATAL x] " + std::string(100000, 'x')).size(), 400u);
}

TEST(ParseRrVersion, KnowsReleasesAndBuilds) {
  const auto release = parse_rr_version("rr version 5.6.0\n");
  ASSERT_TRUE(release.has_value());
  EXPECT_EQ(release->version_text, "5.6.0");
  EXPECT_TRUE(release->supported());
  const auto build = parse_rr_version("rr version 5.9.0-12-gabcdef (x)\n");
  ASSERT_TRUE(build.has_value());
  EXPECT_EQ(build->minor, 9);
  EXPECT_EQ(build->version_text, "5.9.0-12-gabcdef");
  EXPECT_FALSE(parse_rr_version("rr version 5.5.0")->supported());
  EXPECT_TRUE(parse_rr_version("rr version 6")->supported());
  EXPECT_FALSE(parse_rr_version("rr version x").has_value());
  EXPECT_FALSE(parse_rr_version("gdb 13").has_value());
}

}  // namespace
}  // namespace culprit::recorder
