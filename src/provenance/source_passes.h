// Where a value came from when the stopped moment alone does not tell: one more pass that catches the
// registers of the load, or a step window that a dynamic slice runs over.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "provenance/last_writer.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "provenance/slice/loop_bound.h"
#include "provenance/value_source.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

class WindowAnswers;

/// A source with its place named at the moment it was asked for.
struct ResolvedSource {
  ValueSource source;
  std::optional<SourcePlace> place{};  ///< if source.address is known
  std::vector<WalkFrame> frames{};   ///< the stack at source.pc, where a step window told it
  /// If the value is the address of a local whose frame ended in the window: the stack, from that frame on,
  /// where the address left it: at the call or the return that carried it out.
  std::vector<WalkFrame> left{};
  /// If the value, or a number that it was computed from, was compared in a loop of the window: with what.
  std::optional<LoopBound> bound{};
  std::optional<SourcePlace> bound_place{};    ///< of a bound in memory
  std::optional<std::uint64_t> bound_value{};  ///< what that held at the moment
};

/// Limits of a step window.
struct WindowLimits {
  std::uint32_t max_steps = 100'000;  ///< instructions kept; some 3 s of single-stepping
  std::uint64_t budget = 300'000;     ///< instructions stepped: some 6 s
  int max_frames = 3;                 ///< how far the window's start may move to callers
};

/// For questions beside the main line, of which a chain asks several: what does not tell within
/// some 1.5 s is left open.
inline constexpr WindowLimits kAside{40'000, 40'000, 3};

/// Resolves a Kind::load source: where was its instruction's memory operand when it last executed in
/// this frame before the moment? One pass. The source comes back unchanged (with a note) if the load was
/// not seen.
[[nodiscard]] Result<ResolvedSource> resolve_load(replay::Replay& replay, const ProcessImage& image,
                                                  const Moment& moment, const ValueSource& load,
                                                  std::chrono::milliseconds deadline,
                                                  report::Stats& stats);

/// Answers `question` with a step window that begins at the entry of the question's frame, or of
/// its callers where that is not enough, and ends at the moment. One pass, one or two more for
/// windows that are long; none if `answers` knows.
[[nodiscard]] Result<ResolvedSource> resolve_by_window(
    replay::Replay& replay, const ProcessImage& image, const Moment& moment,
    const ValueQuestion& question, std::uint64_t value, WindowLimits limits,
    std::chrono::milliseconds deadline, report::Stats& stats, WindowAnswers& answers);

/// Where the value of `reg`, before the newest execution of the instruction at `pc` in frame `frame` of the
/// moment, came from: ValueSource::value is what it was at that place. `to_the_end`: not the first named
/// memory on its way but the place where the way begins in the window. As resolve_by_window().
[[nodiscard]] Result<ResolvedSource> resolve_register_at(
    replay::Replay& replay, const ProcessImage& image, const Moment& moment, std::size_t frame,
    Address pc, Gpr reg, bool to_the_end, WindowLimits limits, std::chrono::milliseconds deadline,
    report::Stats& stats, WindowAnswers& answers);

/// These questions will be asked by resolve_by_window() and resolve_register_at(): the first pass
/// that steps a window to the moment answers them, too.
void expect_by_window(const ProcessImage& image, const Moment& moment,
                      const ValueQuestion& question, std::uint64_t value, WindowAnswers& answers);
void expect_register_at(const Moment& moment, std::size_t frame, Address pc, Gpr reg,
                        bool to_the_end, WindowAnswers& answers);

/// The register that the instruction at `pc` reads memory through, if that is a pointer of the
/// program's: not the stack pointer.
[[nodiscard]] std::optional<Gpr> pointer_of_load(const MemoryReader& code, Address pc);

}  // namespace culprit::provenance
