#include "recorder/software_plan.h"

#include <algorithm>

namespace culprit::recorder {
namespace {

/// How long a thread may keep the others from running in a run that can still be made again.
constexpr std::chrono::milliseconds patience_if_retrying{2000};

/// A wait that is longer than this is worth another run. Threads that meet in a spin are switched
/// after some 10 ms without rr; three tenths of a second are no adaptive lock any more.
constexpr std::chrono::milliseconds learn_after{300};

}  // namespace

SoftwarePlan::SoftwarePlan(const RecordOptions& options, bool repeatable)
    : options_(options),
      repeatable_(repeatable),
      learns_(options.learn_landings && repeatable),
      retries_left_(repeatable ? options.refusal_retries : 0) {}

TicksSettings SoftwarePlan::settings() const {
  TicksSettings out;
  out.hold_limit = options_.hold_limit;
  out.starve_limit = options_.starve_limit;
  if (retries_left_ > 0) out.starve_limit = std::min(out.starve_limit, patience_if_retrying);
  if (learns_) out.learn_after = std::min(learn_after, out.starve_limit);
  out.fixed_addresses = fixed_;
  out.landings = landings_;
  return out;
}

bool SoftwarePlan::learn_from(const Refused& refused) {
  if (!repeatable_) return false;
  switch (refused.kind) {
    case RefusalKind::learn:
      if (lessons_left_ == 0 || !refused.landing) return false;
      --lessons_left_;
      if (!fixed_) {
        // The address was of that run only.
        fixed_ = true;
        return true;
      }
      return landings_.add(*refused.landing);
    case RefusalKind::starve:
      if (retries_left_ == 0) return false;
      --retries_left_;
      return true;
    case RefusalKind::hot:
      // It computes after all. Without landings, and with all patience, it may come to its end.
      if (!learns_) return false;
      learns_ = false;
      fixed_ = false;
      retries_left_ = 0;
      landings_ = {};
      return true;
    case RefusalKind::hold:
    case RefusalKind::other:
      return false;
  }
  return false;
}

}  // namespace culprit::recorder
