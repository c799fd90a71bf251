// One machine's part of a batch.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace culprit::batch {

/// Part `index` of `count`, from 1. The parts of one list are disjoint and together all of it, and
/// their sizes differ by at most one: the case at place i (from 0) belongs to part i % count + 1.
struct Shard {
  unsigned index = 1;
  unsigned count = 1;
  [[nodiscard]] bool has(std::size_t place) const { return place % count == index - 1; }
};

/// "2/8". Errors: usage, unless 1 <= I <= N <= 100000.
[[nodiscard]] Result<Shard> parse_shard(const std::string& text);

}  // namespace culprit::batch
