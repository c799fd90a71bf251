// `culprit ci --fail-on`: which failures of a command count.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "report/baseline.h"
#include "report/model.h"

namespace culprit::cli {

/// What was asked for. A failure counts if one of these holds.
struct FailOn {
  bool always = false;      ///< "test"
  bool never = false;       ///< "never"; stands alone
  bool proved = false;      ///< the verdict is proved
  bool likely = false;      ///< the verdict is likely or proved
  bool new_causes = false;  ///< "new": the cause is not in the baseline
  std::set<report::BugClass> classes;

  /// All words but "never" and "test" can be combined; these and the names of all classes.
  [[nodiscard]] static std::vector<std::string_view> words();
};

/// "proved,heap_overflow". Errors: usage, for a word that is none, and for test or never with
/// others.
[[nodiscard]] Result<FailOn> parse_fail_on(std::string_view text);

/// What a report means for the exit code.
struct Judgement {
  bool counts = true;
  std::optional<bool> known;  ///< nothing: there is no baseline
  std::string bug_class;
  std::string confidence;
  std::string key;
};

/// `baseline` may be null.
[[nodiscard]] Judgement judge(const FailOn& fail_on, const report::Report& report,
                              const report::Baseline* baseline);

}  // namespace culprit::cli
