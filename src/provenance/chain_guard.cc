// The chain of a program that stopped itself begins at what its check looked at.
#include <utility>

#include "crash/crash_hint.h"
#include "provenance/chain.h"
#include "provenance/guard_scene.h"
#include "report/suspect_words.h"

namespace culprit::provenance {
namespace {

std::string_view words_of(CheckedAs as) {
  switch (as) {
    case CheckedAs::index:
      return report::kCheckedIndex;
    case CheckedAs::size:
      return report::kCheckedSize;
    case CheckedAs::virtual_table:
      return report::kVirtualTable;
    case CheckedAs::value:
      break;
  }
  return report::kCheckedValue;
}

/// Damage that the allocator or the stack protector found is not a check of the program's own.
bool is_damage(const AbortScene& abort) {
  return abort.kind != AbortScene::Kind::allocation || abort.slot.has_value();
}

}  // namespace

Result<bool> Chain::begin_at_guard(report::Suspect& out) {
  if (!scene_.check || (scene_.abort && is_damage(*scene_.abort))) return false;
  begin_phase("finding the check that failed");
  CULPRIT_ASSIGN(auto guard, find_guard(replay_, *image_, scene_.moment, *scene_.check, remaining(),
                                        report_.stats));
  if (!guard) return false;
  const bool order =
      guard->relation == Relation::unsigned_order || guard->relation == Relation::signed_order;
  if (guard->as == CheckedAs::value && order && crash_ != nullptr &&
      crash_->hint == crash::CrashHint::bounds) {
    guard->as = CheckedAs::index;
  }
  const CheckedValue& refused = guard->values[guard->refused];
  ResolvedSource resolved = refused.source;
  if (refused.question) {
    begin_phase("slicing back from the check");
    ValueQuestion question = *refused.question;
    question.number = guard->as == CheckedAs::index || guard->as == CheckedAs::size;
    auto better = resolve(guard->moment, question, resolved.source, resolved.place, refused.value);
    if (!better.ok()) return better.error();
    resolved = *std::move(better);
  }
  out.value = refused.value;
  out.size = refused.size;
  out.description = words_of(guard->as);
  out.how_chosen =
      guard->as == CheckedAs::virtual_table ? "the call that had no function went through it"
      : guard->argument ? "the argument of the function that stopped the program"
                        : "the condition that led to the call that stopped the program";
  out.confidence = guard->certain ? report::Confidence::proved : report::Confidence::likely;
  if (resolved.place) out.location = resolved.place->location;
  report_.suspect = out;
  report::Hop hop = crash_hop(*image_, scene_, {}, nullptr,
                              resolved.place ? &resolved.place->location : nullptr, style_);
  describe_guard(*image_, *guard, hop);
  hop.source = report_source(resolved.source, resolved.place, refused.value);
  report_.hops.push_back(std::move(hop));
  go_on(resolved, guard->moment, guard->moment.frames.front().code, refused.value);
  return true;
}

}  // namespace culprit::provenance
