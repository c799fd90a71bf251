#include "crash/front_end.h"

#include <algorithm>
#include <array>
#include <utility>

#include "crash/allocator_front_end.h"
#include "crash/cxx_front_end.h"
#include "crash/go_front_end.h"
#include "crash/libc_front_end.h"
#include "crash/rust_front_end.h"
#include "crash/sanitizer_front_end.h"
#include "crash/signal_front_end.h"
#include "crash/signal_text_front_end.h"
#include "crash/ubsan_front_end.h"
#include "crash/valgrind_front_end.h"

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
  // What was damaged or done wrong says more than words before an abort, these more than a signal.
  switch (traits(report.hint).strength) {
    case HintStrength::bug:
    case HintStrength::damage:
      return text ? 4 : 6;
    case HintStrength::symptom:
      break;
  }
  return text && report.kind != Kind::signal ? 5 : 6;
}

}  // namespace

std::span<const FrontEnd> front_ends() {
  static const std::array kFrontEnds{
      kGoFrontEnd,   kSanitizerFrontEnd, kUbsanFrontEnd, kValgrindFrontEnd,   kRustFrontEnd,
      kLibcFrontEnd, kAllocatorFrontEnd, kCxxFrontEnd,   kSignalTextFrontEnd, kSignalFrontEnd};
  return kFrontEnds;
}

std::vector<CrashReport> parse(std::string_view text, const ExitInfo& exit) {
  std::vector<CrashReport> reports;
  for (const FrontEnd& front_end : front_ends()) {
    std::vector<CrashReport> found = front_end.parse(text, exit);
    for (CrashReport& report : found) {
      if (report.hint == CrashHint::none) report.hint = hint_of(report.kind);
    }
    std::move(found.begin(), found.end(), std::back_inserter(reports));
  }
  // Of two that are equal otherwise, the one that says more of the bug.
  std::stable_sort(reports.begin(), reports.end(), [](const CrashReport& a, const CrashReport& b) {
    const int rank_a = rank(a);
    const int rank_b = rank(b);
    if (rank_a != rank_b) return rank_a < rank_b;
    return traits(a.hint).strength > traits(b.hint).strength;
  });
  return reports;
}

}  // namespace culprit::crash
