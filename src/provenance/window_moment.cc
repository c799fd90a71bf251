#include "provenance/window_moment.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

constexpr std::size_t kMaxFrames = 256;

bool is_call(const MemoryReader& code, Address pc) {
  const auto instruction = x86::decode_at(code, pc);
  return instruction.ok() && (instruction->flow == x86::Flow::call ||
                              instruction->flow == x86::Flow::indirect_call);
}

WalkFrame frame_at(const ProcessImage& image, const Registers& registers) {
  WalkFrame out;
  out.code = image.symbols().locate(registers.pc());
  out.frame = image.unwinder().step(binary::Unwinder::start(registers), NoMemory{}).callee;
  return out;
}

/// A part that the compiler split off may have no name of its own in a stripped module: it is called what the
/// function is called that was entered. `call`: the step of the call, `step`: the moment's.
void name_by_entry(const ProcessImage& image, const replay::StepWindow& window, std::size_t call,
                   std::size_t step, binary::CodeLocation& code) {
  constexpr std::size_t kMostLooks = 64;  // stubs and the dynamic linker come first
  const std::size_t end = std::min(step + 1, window.steps.size());
  if (call + 1 >= end) return;
  const Address sp = window.steps[call + 1].sp();
  std::size_t looks = 0;
  for (std::size_t i = call + 1; i < end && looks < kMostLooks; ++i) {
    if (window.steps[i].sp() != sp) continue;
    ++looks;
    const binary::CodeLocation entered = image.symbols().locate(window.steps[i].pc());
    if (entered.symbol.empty() || entered.symbol_offset != 0 || entered.module != code.module) continue;
    code.symbol = entered.symbol;
    code.symbol_linkage = entered.symbol_linkage;
    code.entry = entered.entry;
    return;
  }
}

}  // namespace

std::optional<Address> cfa_at(const ProcessImage& image, const Registers& registers) {
  return image.unwinder().step(binary::Unwinder::start(registers), NoMemory{}).callee.cfa;
}

Moment moment_at_step(const ProcessImage& image, const Moment& end, const replay::StepWindow& window,
                      std::size_t step, std::size_t window_frame, const MemoryReader& code) {
  Moment out;
  out.mark = end.mark;
  out.position = end.position;
  out.registers = step < window.steps.size() ? window.steps[step] : window.final_registers;
  out.frames.push_back(frame_at(image, out.registers));

  // A call has not returned as long as the return address that it pushed has not been popped.
  std::uint64_t highest = out.registers.sp().value;
  for (std::size_t i = std::min(step, window.steps.size()); i-- > 0;) {
    const Registers& before = window.steps[i];
    const Registers& then = i + 1 < window.steps.size() ? window.steps[i + 1] : window.final_registers;
    if (out.frames.size() >= kMaxFrames) return out;
    const std::uint64_t sp = before.sp().value;
    if (then.sp().value + 8 == sp && then.sp().value >= highest && is_call(code, before.pc())) {
      binary::CodeLocation& callee = out.frames.back().code;
      if (callee.best_name().empty()) name_by_entry(image, window, i, step, callee);
      out.frames.push_back(frame_at(image, before));
      out.frames.back().frame.pc_kind = binary::PcKind::exact;
    }
    highest = std::max(highest, sp);
  }
  for (std::size_t i = window_frame + 1; i < end.frames.size() && out.frames.size() < kMaxFrames; ++i) {
    out.frames.push_back(end.frames[i]);
  }
  return out;
}

}  // namespace culprit::provenance
