// Questions to the step windows that end at one moment. A pass that steps one answers all that are
// known to come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"
#include "provenance/slice/slice_path.h"
#include "provenance/source_passes.h"
#include "replay/replay.h"

namespace culprit::provenance {

/// What a window is asked: bytes at its end, or, where `at` is set, before the newest execution of
/// that instruction.
struct WindowQuestion {
  Place asked;
  std::optional<std::uint64_t> value{};
  std::optional<Address> at{};
  /// The answer is where the way begins in the window, not the first named memory on it.
  bool to_the_end = false;
  bool number = false;  ///< see ValueQuestion
  bool operator==(const WindowQuestion&) const = default;
};

/// A question to windows that begin at the entry of frame `frame` of the moment, or of its callers.
struct FrameQuestion {
  std::size_t frame = 0;
  Address pc;  ///< of the instruction that it is about
  WindowQuestion question;
  std::optional<Address> returned_by{};  ///< see ValueQuestion
  /// How the answer may be found is no part of the question.
  bool operator==(const FrameQuestion& other) const {
    return frame == other.frame && pc == other.pc && question == other.question;
  }
};

/// One triage's questions and answers. Moments are known by their marks.
class WindowAnswers {
 public:
  /// The question will be asked: a pass that steps a window to that moment should answer it, too.
  void expect(const replay::Mark& mark, FrameQuestion question);
  /// The questions of that moment that are expected, and have no answer.
  [[nodiscard]] std::vector<FrameQuestion> open(const replay::Mark& mark) const;
  /// `budget`: the instructions that were stepped for the answer at most. An answer for which more
  /// would have been no use has none.
  void keep(const replay::Mark& mark, const FrameQuestion& question, ResolvedSource answer,
            std::optional<std::uint64_t> budget);
  /// The answer, if one is known that `budget` instructions would not better. Null: none.
  [[nodiscard]] const ResolvedSource* find(const replay::Mark& mark, const FrameQuestion& question,
                                           std::uint64_t budget) const;

 private:
  struct Entry {
    replay::Mark mark;
    FrameQuestion question;
    std::optional<ResolvedSource> answer;
    std::optional<std::uint64_t> budget;
  };
  /// The entry of the question; the end of the list if there is none.
  [[nodiscard]] std::size_t place_of(const replay::Mark& mark, const FrameQuestion& question) const;
  std::vector<Entry> entries_;  ///< some dozens: a hop asks a few
};

}  // namespace culprit::provenance
