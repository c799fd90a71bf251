// Does an instruction that is about to execute store into some bytes?
#pragma once

#include <cstddef>
#include <span>

#include "base/registers.h"
#include "base/types.h"

namespace culprit::x86 {

/// True if the instruction at the front of `code` (at `before.rip`) has an operand that it writes
/// and that overlaps `watched`, given the registers before it. A store under a mask counts,
/// whatever the mask. False for bytes that are no instruction and for operands without a single
/// address.
[[nodiscard]] bool stores_into(std::span<const std::byte> code, const Registers& before,
                               ByteRange watched);

}  // namespace culprit::x86
