// Golden tests: testdata/NAME.txt is a program's output; testdata/NAME.json holds how it ended
// ("exit") and the reports that must come out ("reports"). With CULPRIT_UPDATE_GOLDEN=1 in the
// environment the reports are written instead of compared; read the difference before committing
// it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "crash/crash_json.h"
#include "crash/front_end.h"
#include "crash/text_lines.h"

namespace culprit::crash {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

fs::path testdata() { return fs::path(CULPRIT_SOURCE_DIR) / "src/crash/testdata"; }

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(testdata())) {
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<Address> address(const Json& json, const char* key) {
  if (!json.contains(key)) return std::nullopt;
  const std::string text = json[key];
  std::string_view rest = text;
  const auto value = take_hex(rest);
  return value ? std::optional(Address{*value}) : std::nullopt;
}

ExitInfo exit_info(const Json& json) {
  ExitInfo exit;
  if (json.contains("signal")) exit.signal = json["signal"].get<int>();
  if (json.contains("signal_code")) exit.signal_code = json["signal_code"].get<int>();
  if (json.contains("exit_status")) exit.exit_status = json["exit_status"].get<int>();
  exit.fault_address = address(json, "fault_address");
  exit.pc = address(json, "pc");
  return exit;
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, ReportsAreAsExpected) {
  const fs::path expected_path = testdata() / (GetParam() + ".json");
  Json expected = Json::parse(read(expected_path), nullptr, /*allow_exceptions=*/false);
  ASSERT_FALSE(expected.is_discarded()) << expected_path;
  const std::string text = read(testdata() / (GetParam() + ".txt"));
  const Json actual = to_golden_json(parse(text, exit_info(expected["exit"])));
  if (std::getenv("CULPRIT_UPDATE_GOLDEN") != nullptr) {
    expected["reports"] = actual;
    std::ofstream(expected_path) << expected.dump(1) << '\n';
    return;
  }
  EXPECT_EQ(actual, expected["reports"]) << Json::diff(expected["reports"], actual).dump(1);
}

// Any part of a real report may be missing, and other output may stand in the middle.
TEST_P(Golden, SurvivesDamage) {
  const std::string text = read(testdata() / (GetParam() + ".txt"));
  std::uint64_t random = 88172645463325252U;
  const auto next = [&random] {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random;
  };
  for (int round = 0; round < 60; ++round) {
    std::string damaged = text.substr(0, text.empty() ? 0 : next() % (text.size() + 1));
    for (int i = 0; i < 12 && !damaged.empty(); ++i) {
      const std::size_t at = next() % damaged.size();
      switch (next() % 4) {
        case 0:
          damaged[at] = static_cast<char>(next());
          break;
        case 1:
          damaged.erase(at, next() % 40);
          break;
        case 2:
          damaged.insert(at, "\nother output\r\n");
          break;
        default:
          damaged.insert(at, std::string(1, '\0') + "runtime: pointer 0x");
          break;
      }
    }
    for (const CrashReport& report : parse(damaged)) {
      EXPECT_LE(report.suspects.size(), 16U);
      EXPECT_LE(report.message.size(), 64U);
      EXPECT_LE(report.stacks.size(), 64U);
      EXPECT_LE(report.offset, damaged.size());
      EXPECT_EQ(report.reporting.has_value(), report.reporting_frame() != nullptr);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Crash, Golden, testing::ValuesIn(cases()), [](const auto& case_info) {
  std::string name = case_info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name;
});

TEST(GoldenCases, ThereAreMany) { EXPECT_GE(cases().size(), 25U); }

}  // namespace
}  // namespace culprit::crash
