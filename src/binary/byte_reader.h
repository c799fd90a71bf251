// Checked little-endian reading from untrusted bytes (internal to this layer).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace culprit::binary {

/// A cursor over bytes. After the first read past the end, `ok()` is false, and every further
/// read gives zero; callers check once at the end of a record.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes, std::size_t offset = 0)
      : bytes_(bytes), offset_(offset), ok_(offset <= bytes.size()) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t offset() const { return offset_; }
  [[nodiscard]] std::size_t remaining() const { return ok_ ? bytes_.size() - offset_ : 0; }
  [[nodiscard]] bool at_end() const { return remaining() == 0; }

  void seek(std::size_t offset) {
    if (offset > bytes_.size()) {
      ok_ = false;
    } else {
      offset_ = offset;
    }
  }
  void skip(std::uint64_t count) {
    if (count > remaining()) {
      ok_ = false;
    } else {
      offset_ += static_cast<std::size_t>(count);
    }
  }

  template <typename T>
  T fixed() {
    static_assert(std::is_integral_v<T>);
    T value{};
    if (remaining() < sizeof(T)) {
      ok_ = false;
      return value;
    }
    std::memcpy(&value, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return value;
  }
  std::uint8_t u8() { return fixed<std::uint8_t>(); }
  std::uint16_t u16() { return fixed<std::uint16_t>(); }
  std::uint32_t u32() { return fixed<std::uint32_t>(); }
  std::uint64_t u64() { return fixed<std::uint64_t>(); }

  /// An unsigned number of 1, 2, 4 or 8 bytes; other sizes fail.
  std::uint64_t unsigned_of(std::size_t size) {
    switch (size) {
      case 1:
        return u8();
      case 2:
        return u16();
      case 4:
        return u32();
      case 8:
        return u64();
      default:
        ok_ = false;
        return 0;
    }
  }

  /// LEB128 (DWARF 5, section 7.6); bits past the 64th are dropped.
  std::uint64_t uleb() {
    std::uint64_t value = 0;
    unsigned shift = 0;
    while (true) {
      const std::uint8_t byte = u8();
      if (!ok_) return 0;
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      shift = shift < 64 ? shift + 7 : shift;
      if ((byte & 0x80U) == 0) return value;
    }
  }
  std::int64_t sleb() {
    std::uint64_t value = 0;
    unsigned shift = 0;
    while (true) {
      const std::uint8_t byte = u8();
      if (!ok_) return 0;
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      shift = shift < 64 ? shift + 7 : shift;
      if ((byte & 0x80U) != 0) continue;
      if ((byte & 0x40U) != 0 && shift < 64) value |= ~std::uint64_t{0} << shift;
      return static_cast<std::int64_t>(value);
    }
  }

  std::span<const std::byte> bytes(std::uint64_t count) {
    if (count > remaining()) {
      ok_ = false;
      return {};
    }
    const auto result = bytes_.subspan(offset_, static_cast<std::size_t>(count));
    offset_ += static_cast<std::size_t>(count);
    return result;
  }

  /// A NUL-terminated string; fails if there is no NUL.
  std::string_view c_string() {
    if (remaining() == 0) {
      ok_ = false;
      return {};
    }
    const char* begin = reinterpret_cast<const char*>(bytes_.data()) + offset_;
    const void* end = std::memchr(begin, 0, remaining());
    if (end == nullptr) {
      ok_ = false;
      return {};
    }
    const auto length = static_cast<std::size_t>(static_cast<const char*>(end) - begin);
    offset_ += length + 1;
    return {begin, length};
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t offset_;
  bool ok_;
};

}  // namespace culprit::binary
