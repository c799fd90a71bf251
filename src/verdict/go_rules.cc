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

/// The innermost frame that is not of the runtime, whose maps are in a package of their own from
/// Go 1.24.
const report::Frame* outside_runtime(const std::vector<report::Frame>& frames) {
  const auto found = std::find_if(frames.begin(), frames.end(), [](const report::Frame& f) {
    return !f.function.empty() && !f.function.starts_with("runtime.") &&
           !f.function.starts_with("internal/runtime/");
  });
  return found != frames.end() ? &*found : nullptr;
}

/// "main.f (x.go:12) in goroutine 6".
std::string user_of_map(const Hop& hop) {
  const report::Frame* frame = outside_runtime(hop.backtrace);
  if (frame == nullptr) return writer_name(hop);
  std::string out = frame_name(*frame);
  if (frame->goroutine) out += fmt::format(" in goroutine {}", *frame->goroutine);
  return out;
}

}  // namespace

bool shared_go_map(Report& report) {
  if (report.hops.empty() || report.crash.kind != "go_concurrent_map") return false;
  const Hop& crash = report.hops.front();
  const Hop* setter = last_writer(report);
  Verdict& v = report.verdict;
  v.bug_class = BugClass::data_race;
  v.suggested_fix = "Guard every use of the map with one mutex, or use sync.Map.";
  v.evidence = {0};
  v.explanation = user_of_map(crash) + " used a map while another goroutine wrote to it";
  if (setter == nullptr) {
    v.explanation += ".";
    v.cause = site_of_writer(crash);
    v.confidence = Confidence::likely;  // the runtime says so
    return true;
  }
  v.evidence.push_back(setter->index);
  v.explanation += ": " + user_of_map(*setter) + ".";
  const report::Frame* other = outside_runtime(setter->backtrace);
  v.cause = other != nullptr ? site_of_frame(*other) : site_of_writer(*setter);
  v.confidence = weakest(report, v.evidence);
  return true;
}

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
                    writer_name(crash),
                    report.suspect ? to_hex(report.suspect->value) : "its value is not known");
    v.cause = site_of_writer(crash);
  } else {
    v.explanation = fmt::format(
        "{} used {} as a pointer, which was kept as a number in {} (uintptr).",
        writer_name(crash), to_hex(report.suspect->value), owner_name(*number->location));
    if (maker != nullptr) {
      v.explanation += fmt::format(" {} made it.", writer_name(*maker));
      v.cause = site_of_writer(*maker);
    } else {
      v.cause = site_of_writer(crash);
    }
  }
  if (maker != nullptr) v.evidence.push_back(maker->index);
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  return true;
}

}  // namespace culprit::verdict
