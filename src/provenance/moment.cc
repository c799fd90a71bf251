#include "provenance/moment.h"

#include <memory>
#include <utility>

namespace culprit::provenance {

ByteRange WalkFrame::extent() const {
  const Address sp = frame.sp();
  if (!frame.cfa || *frame.cfa <= sp) return {};
  return ByteRange{sp, static_cast<std::uint64_t>(*frame.cfa - sp)};
}

std::optional<std::size_t> Moment::frame_of(Address a) const {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (frames[i].extent().contains(a)) return i;
  }
  // A leaf function's locals may lie below its sp (System V x86-64 psABI 1.0, 3.2.2: the red zone).
  constexpr std::uint64_t kRedZone = 128;
  if (!frames.empty()) {
    const Address sp = frames.front().frame.sp();
    if (sp.value >= kRedZone && a < sp && sp.value - a.value <= kRedZone) return 0;
  }
  return std::nullopt;
}

std::optional<std::size_t> Moment::frame_running(Address pc) const {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (frames[i].code.function.contains(pc)) return i;
  }
  return std::nullopt;
}

std::vector<WalkFrame> walk(const ProcessImage& image, ThreadId thread, const Registers& registers,
                            const MemoryReader& memory, std::size_t max_frames) {
  std::vector<std::unique_ptr<runtimes::StackWalk>> walks;
  for (const auto& runtime : image.runtimes()) {
    walks.push_back(runtime->walk(thread, registers, memory));
  }
  std::vector<WalkFrame> out;
  binary::Frame frame = binary::Unwinder::start(registers);
  while (out.size() < max_frames) {
    WalkFrame entry;
    entry.code = image.symbols().locate(frame.pc, frame.pc_kind);
    binary::UnwindStep step = image.unwinder().step(frame, memory);
    entry.frame = step.callee;
    std::optional<binary::Frame> next = step.caller;
    bool outermost = false;
    for (const auto& runtime_walk : walks) {
      entry.stack = runtime_walk->label(step.callee);
      if (auto crossed = runtime_walk->cross(entry.code.symbol_linkage, step)) {
        next = std::move(crossed);
      } else if (runtime_walk->is_outermost(entry.code.symbol_linkage)) {
        outermost = true;
      }
    }
    out.push_back(std::move(entry));
    if (outermost || !next) break;
    frame = *std::move(next);
  }
  return out;
}

void stand_at(const ProcessImage& image, const replay::Position& at, const Registers& registers,
              const MemoryReader& memory, Moment& moment) {
  moment.position = at;
  moment.registers = registers;
  moment.frames = walk(image, at.thread, registers, memory);
}

binary::FrameView view_of(const Moment& moment, std::size_t i, const MemoryReader& memory) {
  binary::FrameView view;
  view.frame = &moment.frames[i].frame;
  if (i + 1 < moment.frames.size()) view.caller = &moment.frames[i + 1].frame;
  view.memory = &memory;
  return view;
}

}  // namespace culprit::provenance
