#include "provenance/unmapping.h"

#include <sys/syscall.h>

#include <utility>

#include "provenance/visit.h"

namespace culprit::provenance {
namespace {

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
    CULPRIT_ASSIGN(auto moment,
                   visit(replay, image, entry_of_call(image.index(), *it), deadline, stats));
    if (!moment) return nothing;
    out.moment = *std::move(moment);
    return std::optional(std::move(out));
  }
  return nothing;
}

}  // namespace culprit::provenance
