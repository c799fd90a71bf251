// The stack of a moment, kept for questions that come up when the pass is over.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/memory.h"
#include "provenance/moment.h"

namespace culprit::provenance {

/// The bytes from the red zone below the stack pointer up to the end of the outermost frame, at
/// most 256 KiB. Reads nothing else, and remembers that it was asked to.
class StackCopy : public MemoryReader {
 public:
  StackCopy() = default;
  /// `memory` must be that of the moment.
  StackCopy(const Moment& moment, const MemoryReader& memory) {
    constexpr std::uint64_t kRedZone = 128;  // System V ABI, AMD64 supplement, 3.2.2
    constexpr std::uint64_t kMost = 256 * 1024;
    const std::uint64_t sp = moment.registers.sp().value;
    if (sp < kRedZone) return;
    start_ = Address{sp - kRedZone};
    std::uint64_t end = sp;
    for (const WalkFrame& frame : moment.frames) {
      // Frames of another stack, where the thread has switched to this one, are left out.
      if (!frame.frame.cfa || frame.frame.cfa->value < end || frame.frame.cfa->value - sp > kMost)
        break;
      end = frame.frame.cfa->value;
    }
    bytes_.resize(static_cast<std::size_t>(end - start_.value));
    bytes_.resize(memory.read(start_, bytes_));
  }

  [[nodiscard]] std::size_t read(Address address, std::span<std::byte> out) const override {
    const std::uint64_t offset = address.value - start_.value;
    const bool inside = address >= start_ && offset < bytes_.size();
    const std::size_t got =
        inside ? std::min(out.size(), bytes_.size() - static_cast<std::size_t>(offset)) : 0;
    if (got > 0) std::memcpy(out.data(), bytes_.data() + offset, got);
    missed_ |= got < out.size();
    return got;
  }

  /// Something was asked for that is not in the copy: what the answers say is not to be relied on.
  [[nodiscard]] bool missed() const { return missed_; }

 private:
  Address start_;
  std::vector<std::byte> bytes_;
  mutable bool missed_ = false;
};

}  // namespace culprit::provenance
