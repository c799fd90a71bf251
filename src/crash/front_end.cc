#include "crash/front_end.h"

#include <algorithm>
#include <array>
#include <utility>

#include "crash/go_front_end.h"
#include "crash/libc_front_end.h"
#include "crash/signal_front_end.h"

namespace culprit::crash {
namespace {

// How useful a report is to begin with: smaller is better. Reports of one rank keep their order.
int rank(const CrashReport& report) {
  const bool text = report.front_end != "signal";
  const bool stated =
      std::any_of(report.suspects.begin(), report.suspects.end(), [](const Suspect& s) {
        return (s.value || s.slot) && s.role != Role::object && s.role != Role::index;
      });
  // Without a traceback the words may be somebody's account of another crash.
  if (stated) return text ? (report.stacks.empty() ? 1 : 0) : 2;
  if (!report.suspects.empty()) return 3;
  if (report.kind == Kind::libc_abort) return 4;  // says more than the SIGABRT that follows it
  return text ? 5 : 6;
}

}  // namespace

std::span<const FrontEnd> front_ends() {
  static const std::array<FrontEnd, 3> kFrontEnds{kGoFrontEnd, kLibcFrontEnd, kSignalFrontEnd};
  return kFrontEnds;
}

std::vector<CrashReport> parse(std::string_view text, const ExitInfo& exit) {
  std::vector<CrashReport> reports;
  for (const FrontEnd& front_end : front_ends()) {
    std::vector<CrashReport> found = front_end.parse(text, exit);
    std::move(found.begin(), found.end(), std::back_inserter(reports));
  }
  std::stable_sort(reports.begin(), reports.end(),
                   [](const CrashReport& a, const CrashReport& b) { return rank(a) < rank(b); });
  return reports;
}

}  // namespace culprit::crash
