// Grouping the reports of many crashes by their cause: how many bugs are these?
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "report/json.h"
#include "report/model.h"

namespace culprit::report {

/// What grouping needs of one report. Small: thousands are held at a time.
struct CaseDigest {
  std::string name;  ///< where the report is: its path
  Fingerprint keys;  ///< made anew, so that reports of different versions can be compared
  BugClass bug_class = BugClass::unknown;
  Confidence confidence = Confidence::unknown;
  bool complete = false;
  std::size_t hops = 0;
  std::string title;
  std::string cause;  ///< cause_text()
  /// What may differ between two crashes of one cause, as (name, value).
  std::vector<std::pair<std::string_view, std::string>> traits;
};

/// Of a report named `name`. Strings are harmless and short.
[[nodiscard]] CaseDigest digest(const Report& report, std::string name);

/// One value that some members of a cluster have.
struct TraitValue {
  std::string value;
  std::vector<std::size_t> members;  ///< indices in Clustering::cases, ascending
};

/// A trait that is not the same for all members.
struct Difference {
  std::string_view trait;          ///< "crash", "crashed in", "way", "command", …
  std::vector<TraitValue> values;  ///< the most frequent first
};

struct Cluster {
  std::string key;  ///< what all members share
  std::size_t representative =
      0;  ///< index in Clustering::cases: the best founded, then the shortest
  std::vector<std::size_t> members;  ///< indices in Clustering::cases, ascending
  std::vector<Difference> differs;
  std::vector<std::size_t> same_place;  ///< other clusters with the same loose key (another line)
  std::vector<std::size_t> same_crash;  ///< other clusters with a crash that reads the same
};

enum class ClusterBy : std::uint8_t { strict, loose };

struct Clustering {
  ClusterBy by = ClusterBy::strict;
  std::vector<CaseDigest> cases;  ///< as given
  std::vector<Cluster> clusters;  ///< the largest first, then by key
};

/// Groups by Fingerprint::strict (or loose). Linear in the number of cases, but for sorting.
[[nodiscard]] Clustering cluster(std::vector<CaseDigest> cases, ClusterBy by);

/// A file that is no report, and why.
struct Unreadable {
  std::string name;
  std::string reason;
};

/// For a terminal. Lists of values and of files are cut after a few, and say so.
[[nodiscard]] std::string clusters_to_text(const Clustering& clustering,
                                           const std::vector<Unreadable>& unreadable);

/// {"clusters_version": "1.0", "by", "reports", "clusters": [{"key", "class", "title", "cause",
/// …}], "unreadable": [{"name", "reason"}]}: see docs/report-schema.md.
[[nodiscard]] Json clusters_to_json(const Clustering& clustering,
                                    const std::vector<Unreadable>& unreadable);

}  // namespace culprit::report
