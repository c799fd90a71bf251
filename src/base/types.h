// Strong types that cross the layers' interfaces. No bare integers for addresses, ids or positions.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace culprit {

/// A virtual address in the recorded program. 64 bits; never a pointer of this process.
struct Address {
  std::uint64_t value = 0;

  constexpr auto operator<=>(const Address&) const = default;
  /// Wraps around like the machine does; callers that need a bound check it with ByteRange.
  constexpr Address operator+(std::int64_t delta) const {
    return Address{value + static_cast<std::uint64_t>(delta)};
  }
  constexpr Address operator-(std::int64_t delta) const {
    return Address{value - static_cast<std::uint64_t>(delta)};
  }
  /// Signed distance in bytes from `other` to this address.
  constexpr std::int64_t operator-(Address other) const {
    return static_cast<std::int64_t>(value - other.value);
  }
  constexpr explicit operator bool() const { return value != 0; }
};

/// A half-open range of bytes [start, start + size) in the recorded program.
struct ByteRange {
  Address start;
  std::uint64_t size = 0;

  constexpr auto operator<=>(const ByteRange&) const = default;
  constexpr bool empty() const { return size == 0; }
  /// One past the last byte; meaningful only where the range does not wrap.
  constexpr Address end() const { return Address{start.value + size}; }
  /// No overflow: the distance from start is compared with the size.
  constexpr bool contains(Address a) const {
    return a.value >= start.value && a.value - start.value < size;
  }
  constexpr bool contains(const ByteRange& r) const {
    return r.start.value >= start.value && r.start.value - start.value <= size &&
           r.size <= size - (r.start.value - start.value);
  }
  constexpr bool overlaps(const ByteRange& r) const {
    return !empty() && !r.empty() && (contains(r.start) || r.contains(start));
  }
};

/// A thread id as the recorded program saw it (not the tid of the task that replays it).
struct ThreadId {
  std::int32_t value = 0;
  constexpr auto operator<=>(const ThreadId&) const = default;
};

/// A process (thread group) id as the recorded program saw it.
struct ProcessId {
  std::int32_t value = 0;
  constexpr auto operator<=>(const ProcessId&) const = default;
};

/// rr's global event number (`rr dump`'s global_time, `rr replay -g`), 1 for the first.
/// 0 means that the event is not known.
struct EventNumber {
  std::int64_t value = 0;
  constexpr auto operator<=>(const EventNumber&) const = default;
  constexpr explicit operator bool() const { return value > 0; }
};

/// "0x" and lower-case hexadecimal digits, no padding: the form used in reports.
std::string to_hex(std::uint64_t value);
inline std::string to_hex(Address a) { return to_hex(a.value); }

}  // namespace culprit

template <>
struct std::hash<culprit::Address> {
  std::size_t operator()(const culprit::Address& a) const noexcept {
    return std::hash<std::uint64_t>{}(a.value);
  }
};
template <>
struct std::hash<culprit::ThreadId> {
  std::size_t operator()(const culprit::ThreadId& t) const noexcept {
    return std::hash<std::int32_t>{}(t.value);
  }
};
