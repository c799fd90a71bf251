#include "provenance/unmapping.h"

#include <sys/syscall.h>

#include <utility>

#include "provenance/cached_memory.h"
#include "provenance/pass_stats.h"

namespace culprit::provenance {
namespace {

class CallerObserver : public replay::PassObserver {
 public:
  CallerObserver(const ProcessImage& image, Moment& moment) : image_(image), moment_(moment) {}
  void on_end(const replay::Position& at, const Registers& registers,
              const replay::LiveState& live) override {
    const CachedMemory memory(live);
    moment_.position = at;
    moment_.registers = registers;
    moment_.frames = walk(image_, at.thread, registers, memory);
  }

 private:
  const ProcessImage& image_;
  Moment& moment_;
};

/// The memory that a system call has given up, if it is one that does.
ByteRange given_up(const replay::Frame& frame, const replay::FrameRegisters& r) {
  const ByteRange range{Address{r.arguments[0]}, r.arguments[1]};
  const bool failed = r.result < 0 && r.result > -4096;
  if (failed) return {};
  if (frame.number == SYS_munmap) return range;
  const bool moved = static_cast<std::uint64_t>(r.result) != r.arguments[0];
  return frame.number == SYS_mremap && moved ? range : ByteRange{};
}

}  // namespace

Result<std::optional<Unmapping>> find_unmapping(replay::Replay& replay, const ProcessImage& image,
                                                Address address, std::chrono::milliseconds deadline,
                                                report::Stats& stats) {
  const std::optional<Unmapping> nothing;
  if (image.mapping_of(address) != nullptr) return nothing;
  const auto frames = image.index().frames();
  for (auto it = frames.rbegin(); it != frames.rend(); ++it) {
    if (it->event.value >= image.mapped_at().value || it->kind != replay::FrameKind::syscall_exit) continue;
    const replay::TraceThread* thread = image.index().thread(it->thread);
    const replay::FrameRegisters* registers = image.index().registers_of(*it);
    if (thread == nullptr || thread->process != image.process() || registers == nullptr ||
        !given_up(*it, *registers).contains(address)) {
      continue;
    }
    Unmapping out;
    out.syscall.syscall = static_cast<std::uint64_t>(it->number);
    out.syscall.arguments = registers->arguments;
    out.syscall.result = registers->result;
    out.syscall.remapped = true;
    out.moment.mark.kind = replay::Mark::Kind::syscall_entry;
    out.moment.mark.thread = it->thread;
    out.moment.mark.ordinal = image.index().syscalls_until(it->thread, it->event);
    replay::PassSpec spec;
    spec.end = out.moment.mark;
    spec.deadline = deadline;
    CallerObserver observer(image, out.moment);
    CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
    count(stats, pass);
    if (!pass.end_reached || out.moment.frames.empty()) return nothing;
    return std::optional(std::move(out));
  }
  return nothing;
}

}  // namespace culprit::provenance
