// The table at the end of a batch.
#pragma once

#include <string>
#include <vector>

#include "batch/result.h"
#include "report/cluster.h"

namespace culprit::batch {

/// Everything that the table tells.
struct Summary {
  std::vector<CaseResult> results;  ///< of all cases that are done
  std::size_t cases = 0;            ///< of this batch (or shard), done or not
  std::size_t earlier = 0;          ///< how many of `results` an earlier run made
  double seconds = 0;               ///< of this run
  report::Clustering clustering;    ///< of the reports of `results`
};

/// "13 use_after_free, 4 heap_overflow, …": the classes of the results so far, the most frequent
/// first; what has no report counts under its outcome.
[[nodiscard]] std::string classes_so_far(const std::vector<CaseResult>& results);

/// Outcomes; reports by class; reports by cause (the clusters), the largest first; cases without a
/// report and why. Long lists are cut and say so.
[[nodiscard]] std::string summary_text(const Summary& summary);

}  // namespace culprit::batch
