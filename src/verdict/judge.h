// From a chain of hops to the class of bug, with the hops that prove it.
#pragma once

#include "report/model.h"

namespace culprit::verdict {

/// Fills report.verdict from the hops, keeping stopped_because and stopped_detail as the engine left them.
/// The rules are tried in order, the first that fits wins; each cites its evidence. A rule never claims
/// more than its hops: the verdict's confidence is at most the weakest cited hop's. Then the
/// fingerprint.
void judge(report::Report& report);

}  // namespace culprit::verdict
