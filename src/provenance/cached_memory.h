// A page cache in front of a slower MemoryReader: unwinding and naming read the same few stack pages
// again and again, and behind a live replay each read is a round trip to rr's supervisor.
#pragma once

#include <cstddef>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/memory.h"

namespace culprit::provenance {

/// Reads whole 4 KiB pages from `source` once and serves all later reads from them. Valid as long as
/// the recorded program stands still; not thread-safe. Keeps a reference to `source`. Holds at most
/// kMaxPages pages: past that, pages are read through and not kept.
class CachedMemory : public MemoryReader {
 public:
  static constexpr std::size_t kPageSize = 4096;
  static constexpr std::size_t kMaxPages = 4096;

  explicit CachedMemory(const MemoryReader& source) : source_(source) {}

  [[nodiscard]] std::size_t read(Address address, std::span<std::byte> out) const override;

 private:
  /// The readable prefix of one page; shorter than kPageSize where the source ends early.
  using Page = std::vector<std::byte>;

  const MemoryReader& source_;
  mutable std::unordered_map<std::uint64_t, Page> pages_;
};

}  // namespace culprit::provenance
