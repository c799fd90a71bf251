#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "verdict/rules.h"
#include "verdict/words.h"

namespace culprit::verdict {

using report::BugClass;
using report::Confidence;
using report::Hop;
using report::Report;
using report::Verdict;

namespace {

/// A hop whose slot is a uintptr: a number to Go, never a pointer.
const Hop* kept_as_number(const Report& report) {
  for (const Hop& hop : report.hops) {
    if (!hop.main_line || !hop.location || !hop.location->owner) continue;
    const report::Owner& owner = *hop.location->owner;
    if ((owner.member.empty() ? owner.type : owner.member_type) == "uintptr") return &hop;
  }
  return nullptr;
}

}  // namespace

bool unsafe_pointer_in_go(Report& report) {
  if (report.hops.empty() || report.crash.runtime != "go") return false;
  const bool checked = report.crash.kind == "go_checkptr";
  const bool faulted =
      report.crash.kind == "go_unexpected_fault" && report.suspect && report.suspect->value != 0;
  const Hop* number = kept_as_number(report);
  if (!checked && !(faulted && number != nullptr)) return false;
  const Hop* maker = last_writer(report);
  const Hop& crash = report.hops.front();
  Verdict& v = report.verdict;
  v.bug_class = BugClass::go_unsafe_pointer;
  v.evidence = {0};
  if (checked) {
    v.explanation =
        fmt::format("{} made a pointer that Go's rules for unsafe.Pointer do not allow ({}).",
                    writer_name(crash.writer),
                    report.suspect ? to_hex(report.suspect->value) : "its value is not known");
    v.cause = site_of_writer(crash.writer);
  } else {
    v.explanation = fmt::format(
        "{} used {} as a pointer, which was kept as a number in {} (uintptr).",
        writer_name(crash.writer), to_hex(report.suspect->value), owner_name(*number->location));
    if (maker != nullptr) {
      v.explanation += fmt::format(" {} made it.", writer_name(maker->writer));
      v.cause = site_of_writer(maker->writer);
    } else {
      v.cause = site_of_writer(crash.writer);
    }
  }
  if (maker != nullptr) v.evidence.push_back(maker->index);
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  return true;
}

}  // namespace culprit::verdict
