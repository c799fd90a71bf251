#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "report/suspect_words.h"
#include "verdict/rules.h"
#include "verdict/words.h"

namespace culprit::verdict {

using report::BugClass;
using report::Confidence;
using report::Hop;
using report::HopKind;
using report::Report;
using report::Verdict;

bool collected_in_use(Report& report) {
  const Hop* sweep = first_of(report, HopKind::release);
  if (sweep == nullptr || !sweep->location || !sweep->location->owner ||
      sweep->location->owner->allocator != report::kGarbageCollector) {
    return false;
  }
  const Hop* registration = first_of(report, HopKind::registration);
  const Hop* unmapped = nullptr;
  for (const Hop& hop : report.hops) {
    if (hop.main_line && hop.kind == HopKind::remap && hop.location &&
        hop.location->region == report::RegionKind::unmapped) {
      unmapped = &hop;
    }
  }
  Verdict& v = report.verdict;
  v.bug_class = BugClass::gc_missed_reference;
  v.explanation = fmt::format("{}. The collector had not found the reference that was used later.",
                              sweep->summary);
  v.evidence = {sweep->index};
  v.confidence = Confidence::likely;
  v.cause = site_of_writer(*sweep);
  if (registration == nullptr || !registration->location) return true;

  const report::Location& range = *registration->location;
  // Who asked for the registration: the registrar itself is the runtime's.
  const report::Frame* asked = nullptr;
  for (const report::Frame& frame : registration->backtrace) {
    if (frame.function != registration->writer.function) {
      asked = &frame;
      break;
    }
  }
  const std::string who =
      asked == nullptr ? writer_name(*registration)
                       : fmt::format("{} ({})", asked->function, place(asked->file, asked->line));
  v.explanation = fmt::format(
      "{} had registered {} bytes at {} ({}) in thread {}, and the registration was never "
      "withdrawn.",
      who, range.size, to_hex(range.address), owner_name(range),
      registration->position.thread.value);
  if (unmapped != nullptr) {
    v.bug_class = BugClass::stale_registration;
    v.explanation += fmt::format(
        " {} gave that memory back ({}), and the same addresses became a part of the heap.",
        writer_name(*unmapped),
        unmapped->syscall ? unmapped->syscall->name : std::string("munmap"));
  }
  v.explanation +=
      fmt::format(" A block came to lie there: {}. So {}.", registration->note, sweep->summary);
  v.suggested_fix = fmt::format(
      "Withdraw the registration before its memory is given back{}, or register memory that lives "
      "as "
      "long as the program.",
      range.owner && range.owner->life.died ? ", at the latest when the thread ends" : "");
  v.evidence = {sweep->index};
  if (unmapped != nullptr) v.evidence.push_back(unmapped->index);
  v.evidence.push_back(registration->index);
  // That the reference was skipped for this reason follows from the runtime's rule.
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  if (asked != nullptr) {
    v.cause = site_of_frame(*asked);
  } else {
    v.cause = site_of_writer(*registration);
  }
  return true;
}

}  // namespace culprit::verdict
