// How a program is recorded with software ticks, learnt from the runs that the agent refused.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "agent/landing_set.h"
#include "recorder/record.h"

namespace culprit::recorder {

/// Why the agent ended a recording (agent/report.h).
enum class RefusalKind : std::uint8_t { hold, starve, learn, hot, other };

/// A refused recording.
struct Refused {
  RefusalKind kind = RefusalKind::other;
  std::string why;                       ///< one line for the user
  std::optional<std::uint64_t> landing;  ///< learn: the address to count in the next run
  std::optional<CodePlace> place;        ///< where the thread was
};

/// What the agent is told for one run.
struct TicksSettings {
  std::chrono::milliseconds hold_limit{0};
  std::chrono::milliseconds starve_limit{0};
  std::chrono::milliseconds learn_after{0};  ///< 0: learn nothing
  bool fixed_addresses = false;
  agent::LandingSet landings;
};

/// The sequence of runs that a program which spins needs: one in which a loop is noticed; one with
/// fixed addresses, in which a landing is learnt (again for each further loop); one with the
/// landings, which succeeds. Each run of it that is refused ends within a second or so of its spin.
class SoftwarePlan {
 public:
  /// `repeatable`: the program can be run again with the same input.
  SoftwarePlan(const RecordOptions& options, bool repeatable);

  TicksSettings settings() const;
  /// Can another run fare better than this refused one? Changes the settings accordingly.
  bool learn_from(const Refused& refused);

 private:
  const RecordOptions& options_;
  bool repeatable_;
  bool learns_;
  bool fixed_ = false;
  unsigned retries_left_;
  unsigned lessons_left_ = 2 * agent::max_landings;
  agent::LandingSet landings_;
};

}  // namespace culprit::recorder
