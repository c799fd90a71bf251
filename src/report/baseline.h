// Causes that are known already: what a new report is compared with.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "report/model.h"

namespace culprit::report {

/// Keys of causes (fingerprint.h), strict and loose ones in any mixture.
class Baseline {
 public:
  /// True if the report's strict or loose key, made anew, is one of them.
  [[nodiscard]] bool knows(const Report& report) const;
  [[nodiscard]] std::size_t size() const { return keys_.size(); }

  /// Adds the keys of one file's text, which may be
  ///  * a report (its strict key, made anew),
  ///  * what `culprit cluster --json` wrote (the `key` of each group),
  ///  * the results of `culprit batch`: JSON lines (each one's `key`),
  ///  * text: a key at the beginning of each line, anything behind it; blank lines and what follows
  ///    a # are comments.
  /// Errors: bad_input, with the line; keys that another version of culprit made are one, since
  /// they could never be found.
  Status add_text(std::string_view text);

 private:
  Status add_key(std::string_view key);
  std::set<std::string, std::less<>> keys_;
};

/// Of a file, or of all *.json, *.jsonl and *.txt files in and below a directory; JSON in it that
/// is none of the above is passed over. Errors: usage (nothing there), bad_input and io, with the
/// path.
[[nodiscard]] Result<Baseline> read_baseline(const std::string& path);

}  // namespace culprit::report
