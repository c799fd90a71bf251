#include "agent/stepped_instruction.h"

namespace culprit::agent {
namespace {

bool is_legacy_prefix(std::uint8_t byte) {
  switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3:
      return true;
    default:
      return false;
  }
}

bool is_rex(std::uint8_t byte) { return (byte & 0xf0) == 0x40; }

}  // namespace

SteppedKind stepped_kind(std::span<const std::uint8_t> bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && at < max_instruction &&
         (is_legacy_prefix(bytes[at]) || is_rex(bytes[at]))) {
    ++at;
  }
  if (at >= bytes.size()) return SteppedKind::other;
  const std::uint8_t opcode = bytes[at];
  if ((opcode & 0xf0) == 0x70 || (opcode >= 0xe0 && opcode <= 0xe3)) {
    return SteppedKind::conditional_branch;
  }
  if (opcode == 0x9c) return SteppedKind::push_flags;
  if (opcode == 0xcc) return SteppedKind::breakpoint;
  if (at + 1 >= bytes.size()) return SteppedKind::other;
  const std::uint8_t second = bytes[at + 1];
  if (opcode == 0x0f && (second & 0xf0) == 0x80) return SteppedKind::conditional_branch;
  if (opcode == 0x0f && (second == 0x05 || second == 0x34)) return SteppedKind::system_call;
  if (opcode == 0xcd && second == 0x80) return SteppedKind::system_call;
  if (opcode == 0xcd && second == 0x03) return SteppedKind::breakpoint;
  return SteppedKind::other;
}

}  // namespace culprit::agent
