#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "report/suspect_words.h"
#include "verdict/rules.h"
#include "verdict/words.h"

namespace culprit::verdict {

using report::BugClass;
using report::Report;

namespace {

/// A size or an index that only a negative number makes.
bool is_negative(const report::Suspect& suspect) {
  return suspect.size > 0 && suspect.size <= 8 &&
         ((suspect.value >> (8 * suspect.size - 1)) & 1U) != 0;
}

std::string number_of(const report::Suspect& suspect) {
  if (!is_negative(suspect)) return std::to_string(suspect.value);
  const std::uint64_t mask =
      suspect.size >= 8 ? 0 : ~((std::uint64_t{1} << (8 * suspect.size)) - 1);
  return fmt::format("{} ({} as a signed number)", to_hex(suspect.value),
                     static_cast<std::int64_t>(suspect.value | mask));
}

}  // namespace

bool refused_by_check(Report& report) {
  if (!report.suspect || report.hops.empty()) return false;
  const report::Suspect& suspect = *report.suspect;
  const bool index = suspect.description == report::kCheckedIndex;
  const bool size = suspect.description == report::kCheckedSize;
  if (suspect.description == report::kVirtualTable) {
    // Who sets an object to a class without the function: a destructor that is done with the rest
    // of it, or a constructor that has not come to it yet.
    const report::Hop* setter = last_writer(report);
    report.verdict.bug_class = BugClass::use_after_destroy;
    report.verdict.explanation =
        fmt::format("{} called a virtual function of an object whose derived part is not there.",
                    writer_name(report.hops.front()));
    blame_maker(report, setter, " It was made an object of that class by");
    return true;
  }
  if (!index && !size && suspect.description != report::kCheckedValue) return false;
  report::Verdict& v = report.verdict;
  if (!index && !size) {
    // What the condition meant, only the program's authors know: the text names the kind, if one
    // does.
    stated(report);
    if (v.bug_class == BugClass::unknown) v.bug_class = BugClass::deliberate_abort;
    v.explanation = fmt::format("{} checked {} and stopped the program.",
                                writer_name(report.hops.front()), to_hex(suspect.value));
    blame_maker(report, last_writer(report), " The value was made by");
    return true;
  }
  const bool computed = v.stopped_because == report::StopReason::arithmetic;
  // Far above whatever there is memory for: no sum of true sizes comes there but by going below
  // zero.
  const bool huge = (suspect.value >> 47) != 0 || is_negative(suspect);
  if (computed && huge) {
    v.bug_class = BugClass::integer_overflow;
  } else if (index) {
    v.bug_class = BugClass::index_out_of_range;
  } else if (is_negative(suspect)) {
    v.bug_class = BugClass::sign_error;
  } else {
    v.bug_class = computed ? BugClass::integer_overflow : BugClass::deliberate_abort;
  }
  v.explanation = fmt::format("{} refused the {} {}.", writer_name(report.hops.front()),
                              index ? "index" : "size", number_of(suspect));
  blame_maker(report, last_writer(report), " It was made by");
  return true;
}

}  // namespace culprit::verdict
