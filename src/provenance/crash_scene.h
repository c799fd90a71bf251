// The moment of the crash: the stack of the thread that failed, and, for a fault, the access that the
// machine refused.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crash/crash_report.h"
#include "provenance/abort_scene.h"
#include "provenance/failed_check.h"
#include "provenance/last_writer.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "provenance/stack_copy.h"
#include "provenance/value_source.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

/// A memory access that faulted.
struct FaultingAccess {
  x86::Instruction instruction;
  Address address;                ///< that was accessed (the fault address), or jumped to
  std::optional<Gpr> pointer;     ///< the register that held the bad pointer, if one did
  std::optional<Gpr> twin;        ///< the other register of the sum, if it held the same value
  bool index = false;             ///< that register is the index, and the base is a good address
  std::uint64_t pointer_value = 0;
  bool write = false;
  bool execute = false;           ///< the instruction fetch itself faulted
};

/// A candidate for the slot where the chain begins, with the evidence for it.
struct SlotCandidate {
  Slot slot;
  SourcePlace place;
  std::string how;                ///< "loaded by wbBufFlush1 (mwbbuf.go:257) and passed to findObject"
  report::Confidence confidence = report::Confidence::likely;
  /// The value's source as the crashing code tells it, when it is not memory.
  std::optional<ValueSource> source;
};

/// The slot that the crash report or the user named.
struct SlotName {
  std::optional<Address> address;
  std::string expression;  ///< of the program's source, where no address is known
  std::uint32_t size = 0;  ///< bytes, 1–8; 0: those of the expression's type, else 8
};

/// What the crash stop shows.
struct CrashScene {
  Moment moment;
  StackCopy stack;  ///< of the moment
  std::optional<FaultingAccess> fault;
  /// The source of the faulting pointer, sliced at the stop.
  std::optional<ValueSource> fault_source;
  std::optional<SourcePlace> fault_place;
  /// The slot that the crash report or the user named: its place and what it held at the stop.
  std::optional<SourcePlace> named_place;
  Address named_address;
  std::uint32_t named_size = 8;  ///< bytes, 1–8
  std::string named_trouble;  ///< why the expression names no slot
  std::optional<std::uint64_t> named_value;
  /// A return address that was no code: where it lay.
  std::optional<Slot> return_slot;
  /// What a program that stopped itself was unhappy about.
  std::optional<AbortScene> abort;
  /// Where it decided to stop, if it did.
  std::optional<FailedCheck> check;
};

/// One pass to the crash mark. `named` is the slot that the crash report or the user names, if they do.
/// Verifies the image's modules on the way.
[[nodiscard]] Result<CrashScene> visit_crash(replay::Replay& replay, ProcessImage& image,
                                             const replay::CrashCandidate& candidate,
                                             const SlotName& named,
                                             std::chrono::milliseconds deadline,
                                             report::Stats& stats);

/// Where was the bad value `value` stored when the frames that noticed it read it? Follows the value
/// through the arguments of the crash's frames: the outermost of the innermost frames that was entered
/// with the value in a register was called by the code that loaded it. `reporting` is the function that
/// the crash report names as having noticed, or empty. One or two passes, more for deep reporting code.
/// Nothing if no frame was entered with the value.
[[nodiscard]] Result<std::optional<SlotCandidate>> slot_from_arguments(
    replay::Replay& replay, const ProcessImage& image, const CrashScene& scene, std::uint64_t value,
    std::string_view reporting, std::chrono::milliseconds deadline, report::Stats& stats);

/// All aligned places in writable memory that hold `value` at the crash, best first, at most 16: a last
/// resort. The rank is the evidence: a runtime's buffer, a stack frame's variable, a global, the rest.
[[nodiscard]] Result<std::vector<SlotCandidate>> slots_by_search(
    replay::Replay& replay, const ProcessImage& image, const CrashScene& scene, std::uint64_t value,
    std::chrono::milliseconds deadline, report::Stats& stats);

}  // namespace culprit::provenance
