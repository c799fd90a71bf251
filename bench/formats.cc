// How long the formats of a report take: bench/formats HOPS RUNS, medians in a table. Leaves with 1 if all
// formats of 20 hops together take more than 100 ms.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "report/formats/format.h"
#include "report/json.h"
#include "report/sample_reports.h"

namespace {

constexpr double kBoundMs = 100;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

template <typename Work>
double milliseconds(Work work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace culprit::report;
  const long hops = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 20;
  const long runs = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 21;
  if (hops < 4 || hops > 1000 || runs < 1 || runs > 10'000) {
    fmt::print(stderr, "usage: formats [HOPS (4-1000) [RUNS]]\n");
    return 2;
  }
  const std::string json = to_json_text(long_report(static_cast<std::uint32_t>(hops)));
  const auto read = from_json_text(json);
  if (!read.ok()) {
    fmt::print(stderr, "{}\n", read.error().message);
    return 1;
  }
  fmt::print("| format ({} hops) | bytes | ms |\n|---|---:|---:|\n", hops);
  std::vector<double> together(static_cast<std::size_t>(runs));
  const auto row = [&](std::string_view name, auto work) {
    std::vector<double> each;
    std::size_t size = 0;
    for (double& sum : together) {
      each.push_back(milliseconds([&] { size = work(); }));
      sum += each.back();
    }
    fmt::print("| {} | {} | {:.2f} |\n", name, size, median(each));
  };
  row("(reading the JSON)", [&] { return from_json_text(json).ok() ? json.size() : 0; });
  for (const FormatInfo& format : formats()) {
    row(format.name, [&] { return render(*read, format.id).size(); });
  }
  const double all = median(together);
  const bool good = hops > 20 || all <= kBoundMs;
  fmt::print("| all together | | {:.2f} {} |\n", all, good ? "" : "(more than 100)");
  return good ? 0 : 1;
}
