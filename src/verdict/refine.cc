// What more the hops say about an object that was used after its end: another thread's doing, a
// swap that came too late, a scope.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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

namespace {

bool is_stale_use(BugClass c) {
  return c == BugClass::use_after_free || c == BugClass::iterator_invalidated ||
         c == BugClass::use_after_realloc;
}

/// The block that a release gave up.
std::optional<ByteRange> block_of(const Hop& release) {
  if (!release.location || !release.location->owner || !release.location->owner->object)
    return std::nullopt;
  return ByteRange{*release.location->owner->object,
                   std::max<std::uint64_t>(1, release.location->owner->object_size.value_or(1))};
}

/// A compare-and-swap that put the pointer to the block back into memory after the block's release.
const Hop* late_swap(const Report& report, const Hop& release) {
  const auto block = block_of(release);
  if (!block) return nullptr;
  for (const Hop& hop : report.hops) {
    if (hop.main_line || hop.kind != HopKind::store || !hop.value_after) continue;
    const bool swap = hop.writer.instruction.find("cmpxchg") != std::string::npos;
    const bool later = hop.position.event.value > release.position.event.value;
    if (swap && later && block->contains(Address{*hop.value_after})) return &hop;
  }
  return nullptr;
}

/// The pointer was read from an object, a local, that was destroyed with its scope and took the
/// block along. (Reserved names are those of a library's or the compiler's own variables.)
const Hop* kept_in_ended_scope(const Report& report, const Hop& release) {
  for (const Hop& hop : report.hops) {
    if (hop.main_line || hop.kind != HopKind::store || !hop.location || !hop.location->owner)
      continue;
    const report::Owner& owner = *hop.location->owner;
    if (owner.member.empty() || owner.variable.starts_with("__")) continue;
    if (!owner.life.died || !owner.frame || hop.location->region != report::RegionKind::stack)
      continue;
    const bool within =
        std::any_of(release.backtrace.begin(), release.backtrace.end(),
                    [&](const report::Frame& f) { return f.frame_address == owner.frame; });
    if (within) return &hop;
  }
  return nullptr;
}

/// The numbers that a size was made from give more than 32 bits hold, and the size is what was left
/// of that.
bool wrapped(const Hop& asked) {
  if (!asked.value_after) return false;
  const report::Source* variable = nullptr;
  std::vector<std::uint64_t> all;
  for (const report::Source& input : asked.inputs) {
    if (!input.value) continue;
    if (variable != nullptr && input.pc != variable->pc) break;  // of the computation before that
    variable = &input;
    all.push_back(*input.value);
  }
  if (variable == nullptr || all.size() != 2) return false;
  const std::string& text = variable->instruction;
  constexpr std::uint64_t kMost = 0xffff'ffff;
  if (all[0] > kMost || all[1] > kMost) return false;
  std::uint64_t whole = 0;
  if (text.starts_with("shl ") || text.starts_with("sal ")) {
    if (all[1] >= 32) return false;
    whole = all[0] << all[1];
  } else if (text.starts_with("imul ") || text.starts_with("mul ")) {
    whole = all[0] * all[1];
  } else if (text.starts_with("add ")) {
    whole = all[0] + all[1];
  } else {
    return false;
  }
  return whole > kMost && (whole & kMost) == *asked.value_after;
}

}  // namespace

void refine_overflow(Report& report) {
  Verdict& v = report.verdict;
  if (v.bug_class != BugClass::heap_overflow && v.bug_class != BugClass::off_by_one) return;
  for (const Hop& hop : report.hops) {
    const bool asked =
        !hop.main_line && hop.source && hop.source->description == report::kAskedSize;
    if (!asked || !wrapped(hop)) continue;
    v.bug_class = BugClass::integer_overflow;
    v.explanation += fmt::format(
        " The block is so small because its size was computed in 32 bits and wrapped: {} asked for "
        "{} bytes.",
        writer_name(hop), *hop.value_after);
    v.evidence.push_back(hop.index);
    v.confidence = std::max(v.confidence, Confidence::likely);
    v.cause = site_of_writer(hop);
    v.title.clear();
    v.suggested_fix.clear();
    return;
  }
}

void refine_stale_use(Report& report) {
  Verdict& v = report.verdict;
  const Hop* release = last_writer(report);
  if (!is_stale_use(v.bug_class) || release == nullptr || report.hops.empty() ||
      (release->kind != HopKind::release && release->kind != HopKind::remap)) {
    return;
  }
  const auto say = [&](BugClass c, std::string text, const Hop* evidence) {
    v.bug_class = c;
    v.explanation += std::move(text);
    if (evidence != nullptr) v.evidence.push_back(evidence->index);
    v.confidence = std::max(v.confidence, Confidence::likely);
    v.title.clear();
    v.suggested_fix.clear();
  };
  if (const Hop* swap = late_swap(report, *release)) {
    return say(
        BugClass::aba,
        fmt::format(" After that, {} swapped the pointer in: the comparison held, though what it "
                    "compared was not the same any more.",
                    writer_name(*swap)),
        swap);
  }
  const report::Position& crash = report.hops.front().position;
  if (in_other_thread(report, release->position)) {
    return say(
        BugClass::data_race,
        fmt::format(" Thread {} gave it up while thread {} used it; nothing that the chain shows "
                    "orders the two.",
                    release->position.thread.value, crash.thread.value),
        nullptr);
  }
  if (const Hop* kept = kept_in_ended_scope(report, *release)) {
    say(BugClass::use_after_scope,
        fmt::format(" The pointer was read from {}, a local of {} whose scope had ended: its block "
                    "was given "
                    "up with it.",
                    owner_name(*kept->location), kept->location->owner->function),
        kept);
  }
}

}  // namespace culprit::verdict
