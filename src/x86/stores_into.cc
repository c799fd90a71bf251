#include "x86/stores_into.h"

#include <algorithm>

#include "x86/instruction.h"
#include "x86/places.h"

namespace culprit::x86 {

bool stores_into(std::span<const std::byte> code, const Registers& before, ByteRange watched) {
  // What has no size of its own (fxsave, cache line operations) is at least this wide.
  constexpr std::uint64_t unknown_size = 64;
  const auto instruction = decode(code, before.pc());
  if (!instruction.ok()) return false;
  return std::any_of(instruction->memory.begin(), instruction->memory.end(),
                     [&](const MemOperand& operand) {
                       if (!operand.written) return false;
                       const auto address = effective_address(operand, before);
                       const std::uint64_t size = operand.size != 0 ? operand.size : unknown_size;
                       return address && ByteRange{*address, size}.overlaps(watched);
                     });
}

}  // namespace culprit::x86
