// What `culprit doctor` has to say about a machine: pure functions of what was measured.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "recorder/engine_probe.h"
#include "recorder/record.h"

namespace culprit::cli {

enum class Grade : std::uint8_t {
  good,
  note,     ///< recording works without it, or a limit that cannot be helped
  problem,  ///< recording does not work
};
/// "ok", "note" or "problem".
[[nodiscard]] const char* grade_name(Grade grade);

/// One line of the examination.
struct Finding {
  std::string name;
  Grade grade = Grade::good;
  std::string detail;
  std::string fix;  ///< the command that helps; empty if nothing needs to be done, never for a problem
};

/// The names of the two findings that recording stands and falls with.
inline constexpr char kTraceDirectory[] = "trace directory";
inline constexpr char kTestRecording[] = "test recording";

/// Where traces go if the user names no place.
struct TraceSpace {
  std::string directory;
  std::optional<std::uint64_t> free_bytes;  ///< none: `error`
  bool writable = false;                    ///< it, or the nearest directory above it that exists
  std::string error;
};

/// All of them, in the order they are shown.
[[nodiscard]] std::vector<Finding> examine(const recorder::MachineReport& machine,
                                           const TraceSpace& space);

/// The last one: how the recording and replay of a small program that ends with 1 went. `before` are the
/// findings so far: a problem among them is the likely reason of a failure.
[[nodiscard]] Finding judge_test_recording(const Result<recorder::RecordOutcome>& outcome,
                                           const std::vector<Finding>& before);

}  // namespace culprit::cli
