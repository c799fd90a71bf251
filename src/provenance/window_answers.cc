#include "provenance/window_answers.h"

#include <algorithm>
#include <utility>

#include "provenance/probes.h"

namespace culprit::provenance {

std::size_t WindowAnswers::place_of(const replay::Mark& mark, const FrameQuestion& question) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
    return e.question == question && same_moment(e.mark, mark);
  });
  return static_cast<std::size_t>(found - entries_.begin());
}

void WindowAnswers::expect(const replay::Mark& mark, FrameQuestion question) {
  if (place_of(mark, question) < entries_.size()) return;
  entries_.push_back({mark, std::move(question), {}, {}});
}

std::vector<FrameQuestion> WindowAnswers::open(const replay::Mark& mark) const {
  std::vector<FrameQuestion> out;
  for (const Entry& e : entries_) {
    if (!e.answer && same_moment(e.mark, mark)) out.push_back(e.question);
  }
  return out;
}

void WindowAnswers::keep(const replay::Mark& mark, const FrameQuestion& question,
                         ResolvedSource answer, std::optional<std::uint64_t> budget) {
  expect(mark, question);
  Entry& e = entries_[place_of(mark, question)];
  e.answer = std::move(answer);
  e.budget = budget;
}

const ResolvedSource* WindowAnswers::find(const replay::Mark& mark, const FrameQuestion& question,
                                          std::uint64_t budget) const {
  const std::size_t place = place_of(mark, question);
  if (place == entries_.size()) return nullptr;
  const Entry& e = entries_[place];
  return e.answer && (!e.budget || *e.budget >= budget) ? &*e.answer : nullptr;
}

}  // namespace culprit::provenance
