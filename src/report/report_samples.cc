// Feeds the schema test (tests/report/validate.py) with this library's own words.
//
//   report_samples write DIR   writes the hand-made reports to DIR
//   report_samples formats DIR each of them, and a long one, in each format: DIR/NAME/FILE
//   report_samples read        for each line of standard input, a JSON report: "ok" or its error
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>

#include "report/formats/format.h"
#include "report/json.h"
#include "report/sample_reports.h"
#include "report/write.h"

namespace {

bool write_formats(const std::filesystem::path& directory) {
  using namespace culprit::report;
  for (const auto& [name, report] :
       {std::pair{"full", full_report()}, std::pair{"minimal", minimal_report()},
        std::pair{"hostile", hostile_report()}, std::pair{"long", long_report(20)},
        std::pair{"very_long", long_report(1000)}}) {
    std::filesystem::create_directories(directory / name);
    for (const FormatInfo& format : formats()) {
      const auto status =
          write_output((directory / name / format.file_name).string(), render(report, format.id));
      if (status.ok()) continue;
      std::fprintf(stderr, "%s\n", status.error().message.c_str());
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace culprit::report;
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "write" && argc == 3) {
    const std::string directory = argv[2];
    for (const auto& [name, report] :
         {std::pair{"full", full_report()}, std::pair{"minimal", minimal_report()},
          std::pair{"hostile", hostile_report()}}) {
      const auto status = write_report(report, directory + "/" + name + ".json");
      if (!status.ok()) {
        std::fprintf(stderr, "%s\n", status.error().message.c_str());
        return 1;
      }
    }
    return 0;
  }
  if (mode == "formats" && argc == 3) return write_formats(argv[2]) ? 0 : 1;
  if (mode == "read" && argc == 2) {
    std::string line;
    while (std::getline(std::cin, line)) {
      const auto report = from_json_text(line);
      std::cout << (report.ok() ? "ok" : report.error().message) << '\n';
    }
    return 0;
  }
  std::fprintf(stderr, "usage: report_samples write DIR | formats DIR | read\n");
  return 2;
}
