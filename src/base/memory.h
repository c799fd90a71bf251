// Reading the recorded program's memory, whatever stands behind it (a live replay, a snapshot, a fake).
#pragma once

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

#include "base/types.h"

namespace culprit {

/// Bytes of one address space at one moment.
class MemoryReader {
 public:
  virtual ~MemoryReader() = default;

  /// Copies up to out.size() bytes from `address`. Returns how many could be read: less than asked
  /// where an unmapped or unknown page begins, 0 if nothing is known there. Never fails otherwise.
  [[nodiscard]] virtual std::size_t read(Address address, std::span<std::byte> out) const = 0;

  /// A trivially copyable T at `address` (little endian, as on x86-64), or nothing if any byte of
  /// it cannot be read.
  template <typename T>
  [[nodiscard]] std::optional<T> read_as(Address address) const {
    static_assert(std::is_trivially_copyable_v<T>);
    std::byte buffer[sizeof(T)];
    if (read(address, buffer) != sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, buffer, sizeof(T));
    return value;
  }
  /// Eight bytes as an unsigned number.
  [[nodiscard]] std::optional<std::uint64_t> read_u64(Address address) const {
    return read_as<std::uint64_t>(address);
  }
};

}  // namespace culprit
