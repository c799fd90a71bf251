// Golden tests: testdata/NAME.txt is a program's output; testdata/NAME.json holds how it ended
// ("exit") and the reports that must come out ("reports"). With CULPRIT_UPDATE_GOLDEN=1 in the
// environment the reports are written instead of compared; read the difference before committing
// it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
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

std::uint64_t next_random(std::uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

void expect_within_bounds(const std::vector<CrashReport>& reports, std::size_t size) {
  for (const CrashReport& report : reports) {
    EXPECT_LE(report.suspects.size(), 16U);
    EXPECT_LE(report.message.size(), 64U);
    EXPECT_LE(report.stacks.size(), 64U);
    EXPECT_LE(report.offset, size);
    EXPECT_EQ(report.reporting.has_value(), report.reporting_frame() != nullptr);
    EXPECT_NE(to_string(report.kind), "unknown");
    for (const std::string& line : report.message) EXPECT_LE(line.size(), 512U);
    for (const Stack& stack : report.stacks) EXPECT_LE(stack.frames.size(), 256U);
  }
}

// Any part of a real report may be missing, and other output may stand in the middle.
TEST_P(Golden, SurvivesDamage) {
  const std::string text = read(testdata() / (GetParam() + ".txt"));
  std::uint64_t random = 88172645463325252U;
  const auto next = [&random] { return next_random(random); };
  for (int round = 0; round < 60; ++round) {
    std::string damaged = text.substr(0, text.empty() ? 0 : next() % (text.size() + 1));
    for (int i = 0; i < 12 && !damaged.empty(); ++i) {
      const std::size_t at = next() % damaged.size();
      switch (next() % 9) {
        case 0:
          damaged[at] = static_cast<char>(next());
          break;
        case 1:
          damaged.erase(at, next() % 40);
          break;
        case 2:
          damaged.insert(at, "\nother output\r\n");
          break;
        case 3:
          damaged.insert(at, std::string(1, '\0') + "runtime: pointer 0x");
          break;
        case 4:  // a piece again, elsewhere
          damaged.insert(next() % damaged.size(), damaged.substr(at, next() % 400));
          break;
        case 5: {  // a number becomes another one
          const std::size_t digit = damaged.find_first_of("0123456789", at);
          if (digit != std::string::npos) damaged.insert(digit, next() % 40, '9');
          break;
        }
        case 6:
          damaged.insert(at, "==1==ERROR: AddressSanitizer: ");
          break;
        case 7:
          damaged.insert(at, "\x1b[1m\x1b]");
          break;
        default: {  // two lines change places
          const std::size_t end = damaged.find('\n', at);
          if (end == std::string::npos) break;
          const std::string line = damaged.substr(at, end - at + 1);
          damaged.erase(at, line.size());
          damaged.insert(damaged.empty() ? 0 : next() % damaged.size(), line);
          break;
        }
      }
    }
    expect_within_bounds(parse(damaged), damaged.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Crash, Golden, testing::ValuesIn(cases()), [](const auto& case_info) {
  std::string name = case_info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name;
});

// Lines of all texts in any order: every reader meets every other one's lines.
TEST(GoldenCases, MixturesAreReadInLinearTime) {
  std::vector<std::string> pool;
  for (const std::string& name : cases()) {
    std::string text = read(testdata() / (name + ".txt"));
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size() - 1);
      pool.push_back(text.substr(at, end - at + 1));
      at = end + 1;
    }
  }
  ASSERT_GT(pool.size(), 1000U);
  std::uint64_t random = 2463534242;
  const auto mixture = [&](std::size_t size) {
    std::string text;
    while (text.size() < size) {
      // A run of lines that belong together, then others.
      std::size_t at = next_random(random) % pool.size();
      for (std::uint64_t n = next_random(random) % 12; n > 0 && at < pool.size(); --n) {
        text += pool[at++];
      }
    }
    return text;
  };
  // Processor time, so that a busy machine changes nothing; the best of three.
  const auto seconds = [&](std::size_t size) {
    double best = 1e9;
    for (int i = 0; i < 3; ++i) {
      const std::string text = mixture(size);
      const std::clock_t start = std::clock();
      const auto reports = parse(text);
      best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
      expect_within_bounds(reports, text.size());
    }
    return best;
  };
  const double small = seconds(128 << 10);
  EXPECT_LT(seconds(1 << 20), 16 * small + 0.1);  // eight times the text; quadratic would be 64
}

TEST(GoldenCases, ThereAreMany) { EXPECT_GE(cases().size(), 400U); }

}  // namespace
}  // namespace culprit::crash
