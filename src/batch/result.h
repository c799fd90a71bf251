// What became of one case, and its line in the results.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "report/json.h"
#include "report/model.h"

namespace culprit::batch {

/// What became of a case. The names (name_of) are those of the results.
enum class Outcome : std::uint8_t {
  complete,       ///< a report with a complete chain
  incomplete,     ///< a report whose chain stops before the origin
  did_not_fail,   ///< the program did not fail in any of its runs
  cannot_record,  ///< the program, or this machine, cannot be recorded
  replay_failed,  ///< the recording does not replay
  bad_case,       ///< no such program, no such recording
  timed_out,      ///< ended at the time limit of a case
  crashed,        ///< culprit itself was killed by a signal while it worked on this case
  failed,         ///< anything else; `detail` says what
};

[[nodiscard]] std::string_view name_of(Outcome outcome);
/// complete and incomplete.
[[nodiscard]] constexpr bool has_report(Outcome outcome) { return outcome <= Outcome::incomplete; }

/// One line of the results.
struct CaseResult {
  std::string id;    ///< Case::id
  std::string name;  ///< shown_words() of the case
  Outcome outcome = Outcome::failed;
  int exit_code = 0;  ///< of culprit; meaningful if `signal` is 0
  int signal = 0;     ///< that ended culprit
  double seconds = 0;
  std::string report;  ///< relative to the output directory; empty: there is none
  std::string detail;  ///< one line: why there is no report
  // Of the report:
  std::string bug_class;
  std::string confidence;
  std::string title;
  std::string cause;
  std::string key;    ///< Fingerprint::strict
  std::string loose;  ///< Fingerprint::loose
};

/// One line of JSON with a line feed at its end; every string is harmless and bounded.
[[nodiscard]] std::string to_line(const CaseResult& result);

/// Reads it back; unknown members are ignored. Errors: bad_input.
[[nodiscard]] Result<CaseResult> from_line(std::string_view line);

}  // namespace culprit::batch
