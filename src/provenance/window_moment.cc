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
