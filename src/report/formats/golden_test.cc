// Golden tests of the formats: testdata/NAME/FILE is what a report must look like in the format
// whose files are called FILE. The reports are those of src/report/testdata and a generated one of
// 20 hops. Of HTML pages the style and the script are left out: they have tests of their own, and a
// changed colour is no changed report. With CULPRIT_UPDATE_GOLDEN=1 in the environment the files
// are written instead of compared; read the difference before committing it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "report/formats/format.h"
#include "report/formats/html_page.h"
#include "report/formats/sha256.h"
#include "report/sample_reports.h"
#include "report/write.h"

namespace culprit::report {
namespace {

namespace fs = std::filesystem;

const std::string kReports[] = {"real_go_write_barrier", "incomplete_fork", "value_not_found",
                                "hostile", "twenty_hops"};

fs::path testdata() { return fs::path(CULPRIT_SOURCE_DIR) / "src/report"; }

Report report_named(const std::string& name) {
  if (name == "twenty_hops") return long_report(20);
  auto report = read_report((testdata() / "testdata" / (name + ".json")).string());
  EXPECT_TRUE(report.ok()) << report.error().message;
  return report.ok() ? *std::move(report) : Report{};
}

void replace(std::string& text, std::string_view what, std::string_view with) {
  const std::size_t at = text.find(what);
  ASSERT_NE(at, std::string::npos) << with;
  text.replace(at, what.size(), with);
}

using Case = std::tuple<std::string, FormatInfo>;

class FormatGolden : public testing::TestWithParam<Case> {};

TEST_P(FormatGolden, IsAsExpected) {
  const auto& [name, format] = GetParam();
  FormatOptions options;
  options.strip_prefixes = {"/builds/shop"};
  std::string text = render(report_named(name), format.id, options);
  if (format.id == Format::html) {
    replace(text, kPageStyle, "STYLE");
    replace(text, kPageScript, "SCRIPT");
    replace(text, csp_hash(kPageStyle), "STYLE-HASH");
    replace(text, csp_hash(kPageScript), "SCRIPT-HASH");
  }
  const fs::path path = testdata() / "formats/testdata" / name / format.file_name;
  if (std::getenv("CULPRIT_UPDATE_GOLDEN") != nullptr) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return;
  }
  std::ifstream file(path, std::ios::binary);
  ASSERT_TRUE(file) << path;
  const std::string expected{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text, expected);
}

// Text and JSON have golden tests of their own.
std::vector<FormatInfo> formats_here() {
  std::vector<FormatInfo> list(formats().begin(), formats().end());
  std::erase_if(list,
                [](const FormatInfo& f) { return f.id == Format::text || f.id == Format::json; });
  return list;
}

INSTANTIATE_TEST_SUITE_P(Formats, FormatGolden,
                         testing::Combine(testing::ValuesIn(kReports),
                                          testing::ValuesIn(formats_here())),
                         [](const auto& case_info) {
                           std::string name = std::get<0>(case_info.param);
                           name += "_" + std::string(std::get<1>(case_info.param).name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Formats, HaveNamesAndFilesOfTheirOwn) {
  std::set<std::string_view> names;
  std::set<std::string_view> files;
  for (const FormatInfo& format : formats()) {
    EXPECT_TRUE(names.insert(format.name).second) << format.name;
    EXPECT_TRUE(files.insert(format.file_name).second) << format.file_name;
    EXPECT_EQ(format_named(format.name), format.id);
    EXPECT_EQ(&info(format.id), &format);
  }
  EXPECT_FALSE(format_named("pdf"));
  EXPECT_FALSE(format_named(""));
}

// A function of its arguments and nothing else.
TEST(Formats, TheSameReportGivesTheSameText) {
  for (const FormatInfo& format : formats()) {
    EXPECT_EQ(render(long_report(6), format.id), render(long_report(6), format.id)) << format.name;
  }
}

}  // namespace
}  // namespace culprit::report
