#include "provenance/slice/sums_of_nulls.h"

#include <algorithm>
#include <optional>
#include <variant>

namespace culprit::provenance {
namespace {

constexpr int kMostSums = 8;

const ByteRange* word(const std::optional<Place>& place) {
  const auto* range = place ? std::get_if<ByteRange>(&*place) : nullptr;
  return range != nullptr && range->size == 8 ? range : nullptr;
}

/// Where input `k` of transformation `t` was read from, the nearest place first.
std::optional<ByteRange> place_of(const WindowSlice& slice, std::size_t t, std::size_t k) {
  const std::optional<Place> operand = slice.transformations[t].inputs[k];
  if (const ByteRange* range = word(operand)) return *range;
  for (const WindowPiece& piece : slice.pieces) {
    if (piece.parent != t || piece.input != k || piece.added != 0) continue;
    for (const PathStep& step : piece.path) {
      if (const ByteRange* range = word(step.from)) return *range;
    }
    if (const ByteRange* range = word(piece.origin.place)) return *range;
  }
  return std::nullopt;
}

/// Two whole words of zero. What was read from memory by the sum itself is not logged.
bool of_nulls(const Transformation& t) {
  if (t.kind == x86::FlowKind::select || t.inputs.size() != 2 || t.input_values.size() != 2 ||
      !t.main_input || *t.main_input > 1 || !t.carries || t.index) {
    return false;
  }
  return std::all_of(t.input_values.begin(), t.input_values.end(),
                     [](const auto& value) { return value.value_or(0) == 0; });
}

}  // namespace

void settle_sums_of_nulls(WindowSlice& slice,
                          const std::function<bool(const ByteRange&)>& holds_pointer) {
  int asked = 0;
  for (std::size_t t = 0; t < slice.transformations.size() && asked < kMostSums; ++t) {
    Transformation& sum = slice.transformations[t];
    if (!of_nulls(sum)) continue;
    const std::size_t other = 1 - *sum.main_input;
    const auto main_place = place_of(slice, t, *sum.main_input);
    const auto other_place = place_of(slice, t, other);
    if (!main_place || !other_place) continue;
    ++asked;
    if (holds_pointer(*other_place) && !holds_pointer(*main_place)) sum.main_input = other;
  }
}

}  // namespace culprit::provenance
