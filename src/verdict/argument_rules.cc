// Arguments that a function without a full prototype was given.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "report/suspect_words.h"
#include "verdict/rules.h"
#include "verdict/words.h"

namespace culprit::verdict {

using report::BugClass;
using report::Confidence;
using report::Frame;
using report::Hop;
using report::HopKind;
using report::Report;
using report::Verdict;

namespace {

/// Less is no address: the first pages are never mapped (vm.mmap_min_addr).
constexpr std::uint64_t kFirstPages = 0x10000;

/// "log_line", if `name` is that of an unnamed argument of log_line.
std::string_view taker_of(std::string_view name) {
  if (!name.starts_with(report::kUnnamedArgument)) return {};
  const auto of = name.find(" of ");
  return of == std::string_view::npos ? std::string_view{} : name.substr(of + 4);
}

/// The caller's frame in a hop whose stack has the function that took the argument.
const Frame* call_of(const Hop& hop, std::string_view taker) {
  const auto is_taker = [taker](const Frame& f) {
    return f.function == taker || f.demangled == taker;
  };
  const auto taken = std::find_if(hop.backtrace.begin(), hop.backtrace.end(), is_taker);
  if (taken == hop.backtrace.end() || taken + 1 == hop.backtrace.end()) return nullptr;
  return &*(taken + 1);
}

/// The value was an int or smaller somewhere on its way.
bool was_narrow(const Report& report, std::uint32_t from) {
  return std::any_of(report.hops.begin(), report.hops.end(), [from](const Hop& hop) {
    if (!hop.main_line || hop.index < from) return false;
    return (hop.bytes && hop.bytes->first == 0 && hop.bytes->count <= 4) ||
           (hop.kind == HopKind::store && hop.location && hop.location->size <= 4 &&
            hop.location->size > 0);
  });
}

}  // namespace

bool mismatched_argument(Report& report) {
  if (!report.suspect || report.suspect->value == 0 || !report.crash.fault_address) return false;
  const std::uint64_t value = report.suspect->value;
  for (const Hop& hop : report.hops) {
    if (!hop.main_line) continue;
    std::string_view taker;
    if (hop.location && hop.location->owner) taker = taker_of(hop.location->owner->variable);
    if (taker.empty() && hop.source) taker = taker_of(hop.source->description);
    if (taker.empty()) continue;
    const Frame* call = call_of(hop, taker);
    const bool number = value < kFirstPages || (value >> 32 == 0 && was_narrow(report, hop.index));
    if (call == nullptr || !number) return false;
    Verdict& v = report.verdict;
    v.bug_class = BugClass::varargs_mismatch;
    v.explanation = fmt::format(
        "{} was given {} as an argument that it has no declaration for, by {} ({}), and took it "
        "for a "
        "pointer.",
        taker, to_hex(value), call->function, place(call->file, call->line));
    v.evidence = {0};
    if (hop.index != 0) v.evidence.push_back(hop.index);
    // That the number was not meant for a pointer is a reading of it.
    v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
    v.cause = site_of_frame(*call);
    return true;
  }
  return false;
}

}  // namespace culprit::verdict
