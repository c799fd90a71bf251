#include "provenance/unnamed_arguments.h"

#include <algorithm>

#include "x86/data_flow.h"
#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

constexpr std::array<Gpr, 6> kArgumentRegisters = {Gpr::rdi, Gpr::rsi, Gpr::rdx,
                                                   Gpr::rcx, Gpr::r8,  Gpr::r9};
constexpr int kMaxInstructions = 64;
/// So far above the CFA lie 32 arguments.
constexpr std::uint64_t kOnStack = 32 * 8;

std::optional<std::size_t> argument_of(const x86::RegisterBytes& reg) {
  for (std::size_t i = 0; i < kArgumentRegisters.size(); ++i) {
    if (reg.same_register(x86::whole(kArgumentRegisters[i]))) return i;
  }
  return std::nullopt;
}

/// The distances of rsp and rbp from the CFA, while they are known.
struct FramePointers {
  std::optional<std::int64_t> rsp = -8;
  std::optional<std::int64_t> rbp;

  [[nodiscard]] std::optional<std::int64_t> of(std::optional<Gpr> reg) const {
    if (reg == Gpr::rsp) return rsp;
    return reg == Gpr::rbp ? rbp : std::nullopt;
  }

  void step(const x86::DataFlow& flow) {
    const FramePointers before = *this;
    for (const x86::DataFlowEdge& e : flow.edges) {
      const auto* to = std::get_if<x86::RegisterBytes>(&e.destination);
      if (to == nullptr) continue;
      const bool sp = to->overlaps(x86::whole(Gpr::rsp));
      if (!sp && !to->overlaps(x86::whole(Gpr::rbp))) continue;
      std::optional<std::int64_t>& out = sp ? rsp : rbp;
      out.reset();
      const bool moved =
          e.kind == x86::FlowKind::copy || (e.linear_scale == 1 && e.sources.size() == 1);
      const auto* from =
          e.sources.size() == 1 ? std::get_if<x86::RegisterBytes>(&e.sources[0]) : nullptr;
      if (!moved || from == nullptr || from->size != 8) continue;
      std::optional<std::int64_t> base;
      if (from->same_register(x86::whole(Gpr::rsp))) base = before.rsp;
      if (from->same_register(x86::whole(Gpr::rbp))) base = before.rbp;
      if (!base) continue;
      const auto added = static_cast<std::int64_t>(e.constant.value_or(0));
      constexpr std::int64_t kLargestFrame = 1 << 24;
      if (std::abs(added) < kLargestFrame) out = *base + added;
    }
  }
};

}  // namespace

SavedArguments saved_arguments(const MemoryReader& code, Address entry) {
  SavedArguments out;
  FramePointers pointers;
  std::array<bool, 6> changed{};
  Address at = entry;
  for (int i = 0; i < kMaxInstructions; ++i) {
    const auto instruction = x86::decode_at(code, at);
    if (!instruction.ok() || (instruction->flow != x86::Flow::fallthrough &&
                              instruction->flow != x86::Flow::conditional)) {
      break;
    }
    const x86::DataFlow flow = x86::data_flow(*instruction, nullptr);
    for (const x86::DataFlowEdge& e : flow.edges) {
      const auto* to = std::get_if<x86::MemoryBytes>(&e.destination);
      const auto* from =
          e.sources.size() == 1 ? std::get_if<x86::RegisterBytes>(&e.sources[0]) : nullptr;
      if (to == nullptr || from == nullptr || e.kind != x86::FlowKind::copy || from->size != 8 ||
          to->operand >= instruction->memory.size()) {
        continue;
      }
      const auto argument = argument_of(*from);
      const x86::MemOperand& operand = instruction->memory[to->operand];
      const auto base = pointers.of(operand.base);
      if (argument && !changed[*argument] && !out[*argument] && base && !operand.index)
        out[*argument] = *base + operand.disp;
    }
    for (const x86::RegisterBytes& written : instruction->writes) {
      if (const auto argument = argument_of(written)) changed[*argument] = true;
    }
    pointers.step(flow);
    at = instruction->end();
  }
  return out;
}

std::optional<UnnamedArgument> unnamed_argument(const Moment& moment, Address address,
                                                const MemoryReader& code) {
  const auto holder = moment.frame_of(address);
  if (!holder) return std::nullopt;
  const WalkFrame& frame = moment.frames[*holder];
  if (frame.code.variadic && frame.code.entry && frame.frame.cfa) {
    const std::int64_t offset = address - *frame.frame.cfa;
    const SavedArguments saved = saved_arguments(code, frame.code.entry);
    for (std::size_t i = 0; i < saved.size(); ++i) {
      if (saved[i] && offset >= *saved[i] && offset < *saved[i] + 8)
        return UnnamedArgument{*holder, i + 1};
    }
  }
  // In the frame of the caller, just above that of the function.
  for (std::size_t i = *holder; i-- > 0;) {
    const WalkFrame& callee = moment.frames[i];
    if (!callee.frame.cfa || !callee.code.variadic) continue;
    if (i + 1 != *holder || address < *callee.frame.cfa) return std::nullopt;
    const auto above = static_cast<std::uint64_t>(address - *callee.frame.cfa);
    if (above >= kOnStack) return std::nullopt;
    // Named parameters may lie there as well, and then come first.
    return UnnamedArgument{i, std::nullopt};
  }
  return std::nullopt;
}

}  // namespace culprit::provenance
