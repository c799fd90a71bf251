// Memory of a process that does not exist, for tests.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>

#include "base/memory.h"

namespace culprit::runtimes::go::testing {

/// Pages exist where something was written. Counts what is asked of it.
class FakeMemory : public MemoryReader {
 public:
  [[nodiscard]] std::size_t read(Address address, std::span<std::byte> out) const override {
    ++reads_;
    std::size_t done = 0;
    while (done < out.size()) {
      const std::uint64_t at = address.value + done;
      const auto page = pages_.find(at / kPage);
      if (page == pages_.end()) break;
      const std::size_t size = std::min<std::size_t>(out.size() - done, kPage - at % kPage);
      std::memcpy(out.data() + done, page->second.data() + at % kPage, size);
      done += size;
    }
    bytes_ += done;
    return done;
  }

  void put(Address address, std::uint64_t value) {
    for (std::uint64_t i = 0; i < 8; ++i) {
      const std::uint64_t at = address.value + i;
      pages_[at / kPage][at % kPage] = static_cast<std::byte>(value >> (8 * i));
    }
  }
  void put(Address address, Address value) { put(address, value.value); }
  /// Makes the page unreadable.
  void drop(Address address) { pages_.erase(address.value / kPage); }

  [[nodiscard]] std::uint64_t reads() const { return reads_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  void reset_counts() { reads_ = bytes_ = 0; }

 private:
  static constexpr std::uint64_t kPage = 4096;
  std::map<std::uint64_t, std::array<std::byte, kPage>> pages_;
  mutable std::uint64_t reads_ = 0;
  mutable std::uint64_t bytes_ = 0;
};

}  // namespace culprit::runtimes::go::testing
