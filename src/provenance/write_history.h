// Every write to a few bytes, in the order in which they happened.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "provenance/process_image.h"
#include "provenance/revisit.h"
#include "replay/replay.h"
#include "report/history.h"

namespace culprit::provenance {

/// What is watched, and how much is kept.
struct WriteSearch {
  ByteRange range;   ///< 1 to 8 bytes, or 16, 24 or 32 bytes that begin at a multiple of 8
  std::string name;  ///< what the slot is called where nothing else names it; may be empty
  report::HistoryFilters filters;
  std::size_t limit = 100;  ///< writes that are listed: the newest ones
  replay::Mark until;
  std::chrono::milliseconds timeout{120'000};
};

/// The bytes as probes of at most 8 each. Errors: usage (no such size).
[[nodiscard]] Result<std::vector<replay::Probe>> probes_of(ByteRange range, ProcessId process);

/// One pass that counts all writes and names their instructions; a second that stops at each one to
/// see its callers, if they are no more than the limit. Fills the members of `out` that are about
/// writes, and its stats. Errors: usage (the size), those of Replay::run.
[[nodiscard]] Status find_writes(replay::Replay& replay, const ProcessImage& image,
                                 const WriteSearch& search, const RevisitStyle& style,
                                 report::History& out);

}  // namespace culprit::provenance
