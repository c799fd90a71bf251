// The moment at which a program's own check failed, and the values that it looked at.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "provenance/failed_check.h"
#include "provenance/hops.h"
#include "provenance/last_writer.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "provenance/slice/guard_search.h"
#include "provenance/source_passes.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

/// A value that a check looked at.
struct CheckedValue {
  std::string name;                       ///< "rsi", or what the program calls the memory
  std::uint64_t value = 0;                ///< zero-extended
  std::uint32_t size = 8;                 ///< in bytes
  std::optional<ValueQuestion> question;  ///< none for memory: it is its own source
  ResolvedSource source;                  ///< as the stopped moment tells it
};

/// A failed check.
struct GuardScene {
  Moment moment;                 ///< just before the compare, or before the call that refuses
  x86::Instruction instruction;  ///< at the moment
  std::string function;          ///< what stopped the program; empty for a trap
  CheckedAs as = CheckedAs::value;
  bool argument = false;             ///< the refused value is an argument of `function`
  std::optional<Relation> relation;  ///< of a compare
  std::vector<CheckedValue> values;  ///< one or two; what is no constant
  std::size_t refused = 0;           ///< of `values`: the one that the chain goes on with
  /// There was one way only to the failure, and one value only that can be meant.
  bool certain = false;
};

/// Which of two compared values is the bad one: the larger of an order that is told from its
/// direction (sizes and indexes are checked against what there is), the negative one of a signed
/// order, and of an equality the one that is no constant. Exposed for tests.
[[nodiscard]] std::size_t choose_refused(Relation relation,
                                         const std::vector<CheckedValue>& values);

/// Two passes. `crash`: the moment of the crash. Nothing if the code does not tell which check it
/// was.
[[nodiscard]] Result<std::optional<GuardScene>> find_guard(
    replay::Replay& replay, const ProcessImage& image, const Moment& crash,
    const FailedCheck& check, std::chrono::milliseconds deadline, report::Stats& stats);

/// Makes the crash's hop that of the check: who checked what, and why that stopped the program.
void describe_guard(const ProcessImage& image, const GuardScene& guard, report::Hop& crash);

}  // namespace culprit::provenance
