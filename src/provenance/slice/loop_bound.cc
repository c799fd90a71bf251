#include "provenance/slice/loop_bound.h"

#include <algorithm>
#include <unordered_map>

#include "x86/instruction.h"
#include "x86/places.h"

namespace culprit::provenance {
namespace {

using x86::RegisterBytes;
using x86::RegisterClass;

/// Sets flags and nothing else.
bool only_compares(const x86::Instruction& instruction) {
  return instruction.category == x86::Category::arithmetic &&
         instruction.flow == x86::Flow::fallthrough && !instruction.writes_memory() &&
         std::none_of(instruction.writes.begin(), instruction.writes.end(),
                      [](const RegisterBytes& r) {
                        return r.cls == RegisterClass::gpr || r.cls == RegisterClass::vector;
                      });
}

std::uint64_t operand_value(const RegisterBytes& reg, const Registers& registers) {
  const std::uint64_t value = registers.gpr[reg.number] >> (8 * reg.offset);
  return reg.size >= 8 ? value : value & ((std::uint64_t{1} << (8 * reg.size)) - 1);
}

/// The registers that are compared: those of an address are not.
std::vector<RegisterBytes> operands(const x86::Instruction& instruction) {
  std::vector<RegisterBytes> out;
  for (const RegisterBytes& r : instruction.reads) {
    if (r.cls != RegisterClass::gpr || r.size < 4) continue;
    const bool addresses = std::any_of(instruction.memory.begin(), instruction.memory.end(),
                                       [&](const x86::MemOperand& m) {
                                         return (m.base && r.same_register(x86::whole(*m.base))) ||
                                                (m.index && r.same_register(x86::whole(*m.index)));
                                       });
    if (!addresses) out.push_back(r);
  }
  return out;
}

}  // namespace

std::optional<LoopBound> find_loop_bound(std::span<const Registers> steps, const MemoryReader& code,
                                         ByteRange function,
                                         const std::vector<std::uint64_t>& counters) {
  struct Known {
    std::optional<x86::Instruction> instruction;
    bool compares = false;
    std::size_t newest = 0;
    std::size_t times = 0;
    std::optional<LoopBound> bound;
  };
  std::unordered_map<std::uint64_t, Known> cache;
  const auto decoded = [&](Address pc) -> Known& {
    const auto [it, is_new] = cache.try_emplace(pc.value);
    if (is_new) {
      auto instruction = x86::decode_at(code, pc);
      if (instruction.ok()) it->second.instruction = *std::move(instruction);
      it->second.compares = it->second.instruction && only_compares(*it->second.instruction);
    }
    return it->second;
  };
  constexpr std::uint64_t kLeast = 2;
  for (std::size_t i = steps.size(); i-- > 0;) {
    if (!function.contains(steps[i].pc()) || i + 1 >= steps.size()) continue;
    Known& known = decoded(steps[i].pc());
    if (!known.compares) continue;
    if (++known.times > 1) {
      if (known.bound) return known.bound;
      continue;
    }
    const Known& next = decoded(steps[i + 1].pc());
    if (!next.instruction || next.instruction->flow != x86::Flow::conditional) continue;
    const std::vector<RegisterBytes> regs = operands(*known.instruction);
    for (const RegisterBytes& r : regs) {
      const std::uint64_t value = operand_value(r, steps[i]);
      if (value < kLeast || std::find(counters.begin(), counters.end(), value) == counters.end())
        continue;
      LoopBound bound;
      bound.pc = steps[i].pc();
      bound.counter = value;
      bound.size = r.size;
      const auto other = std::find_if(regs.begin(), regs.end(), [&](const RegisterBytes& o) {
        return !o.same_register(r) && o.offset == 0;
      });
      if (other != regs.end()) {
        bound.reg = static_cast<Gpr>(other->number);
        bound.value = operand_value(*other, steps[i]);
      } else if (!known.instruction->memory.empty()) {
        const auto address = x86::effective_address(known.instruction->memory.front(), steps[i]);
        if (!address) continue;
        bound.memory = ByteRange{*address, r.size};
      } else {
        continue;
      }
      known.bound = bound;
      break;
    }
  }
  return std::nullopt;
}

}  // namespace culprit::provenance
