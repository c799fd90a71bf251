#include "provenance/older_bytes.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "base/syscall_names.h"
#include "provenance/descriptors.h"
#include "provenance/kernel_input.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"

namespace culprit::provenance {
namespace {

/// Of a vector of buffers, so many are looked at (Linux's UIO_MAXIOV).
constexpr std::size_t kMaxVectors = 1024;

/// Reads the vectors of process_vm_writev at its entry, and finds the local byte for a remote one.
class VectorObserver : public replay::PassObserver {
 public:
  VectorObserver(const std::array<std::uint64_t, 6>& arguments, Address remote)
      : arguments_(arguments), remote_(remote) {}

  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    const auto distance = offset_of(read(live, arguments_[3], arguments_[4]), remote_);
    if (distance) source = address_of(read(live, arguments_[1], arguments_[2]), *distance, 1);
  }

  std::optional<Address> source;

 private:
  static std::vector<ByteRange> read(const MemoryReader& memory, std::uint64_t at,
                                     std::uint64_t n) {
    // struct iovec: the address and the size.
    std::vector<std::array<std::uint64_t, 2>> pairs(std::min<std::uint64_t>(n, kMaxVectors));
    const auto bytes = std::as_writable_bytes(std::span(pairs));
    std::vector<ByteRange> out;
    if (memory.read(Address{at}, bytes) != bytes.size()) return out;
    for (const auto& [start, size] : pairs) out.push_back({Address{start}, size});
    return out;
  }

  const std::array<std::uint64_t, 6>& arguments_;
  Address remote_;
};

const replay::Mapping* find(const std::vector<replay::Mapping>& maps, Address address) {
  const auto found = std::find_if(maps.begin(), maps.end(),
                                  [&](const auto& m) { return m.range.contains(address); });
  return found == maps.end() ? nullptr : &*found;
}

/// The newest write to the file behind `mapping`, before `until`, that covers the byte at `offset`:
/// through what the mapping was made of, or a shared mapping of the same file.
std::optional<OlderBytes> written_to_file(const ProcessImage& image, const replay::Mapping& mapping,
                                          std::uint64_t offset, EventNumber until) {
  const replay::TraceIndex& index = image.index();
  const replay::Frame* made = index.frame(mapping.created);
  const replay::FrameRegisters* map = made == nullptr ? nullptr : index.registers_of(*made);
  const replay::TraceThread* maker = made == nullptr ? nullptr : index.thread(made->thread);
  if (map == nullptr || maker == nullptr || made->number != SYS_mmap) return std::nullopt;
  const auto history = DescriptorHistory::read(index);
  const auto not_asked = [](const DescriptorCall&) { return std::optional<std::array<int, 2>>(); };
  const auto opening = history.opening_of(
      maker->process, static_cast<std::int32_t>(map->arguments[4]), made->event, not_asked);
  const auto write = opening ? history.file_writer_of(*opening, offset, until) : std::nullopt;
  if (write) {
    const DescriptorCall& call = write->call;
    if (is_vectored(call.number)) return std::nullopt;
    OlderBytes out;
    out.address = Address{call.arguments[1] + write->offset};
    out.process = call.process;
    out.before = mark_of(call, replay::Mark::Kind::syscall_entry);
    out.through.emplace();
    out.through->number = call.number;
    out.through->name = syscall_name(call.number);
    out.through->arguments.assign(call.arguments.begin(), call.arguments.end());
    out.through->result = call.result;
    out.through->descriptor = static_cast<std::int32_t>(call.arguments[0]);
    out.through->path = mapping.path;
    out.through->file_offset = offset;
    out.through_at.event = index.event_of_syscall_entry(call.thread, call.ordinal);
    out.through_at.thread = call.thread;
    out.through_at.process = call.process;
    return out;
  }
  std::optional<OlderBytes> out;
  for (const replay::TraceMapping& m : index.mappings()) {
    const replay::TraceThread* thread = index.thread(m.thread);
    if (m.event >= until || m.prot[3] != 's' || thread == nullptr ||
        thread->process != image.process() || index.string_of(m.path) != mapping.path ||
        offset < m.file_offset || offset - m.file_offset >= m.range.size) {
      continue;
    }
    out.emplace();
    out->address = Address{m.range.start.value + (offset - m.file_offset)};
    out->process = image.process();
  }
  return out;
}

}  // namespace

replay::Mark before_call(const replay::Hit& hit) {
  return entry_mark(hit.position.thread, hit.position.syscalls);
}

Result<std::optional<OlderBytes>> find_older_bytes(replay::Replay& replay,
                                                   const ProcessImage& image,
                                                   const replay::Hit& hit, ByteRange slot,
                                                   std::chrono::milliseconds deadline,
                                                   report::Stats& stats) {
  std::optional<OlderBytes> out;
  if (!hit.kernel || hit.position.syscalls == 0) return out;
  const replay::Hit::Kernel& call = *hit.kernel;
  const auto& a = call.arguments;
  const bool foreign = hit.position.process != image.process();
  OlderBytes found;
  found.process = hit.position.process;
  found.before = before_call(hit);
  switch (call.syscall) {
    case SYS_mremap: {
      const ByteRange moved{Address{static_cast<std::uint64_t>(call.result)}, a[2]};
      if (!moved.contains(slot)) return out;
      found.address = Address{a[0]} + (slot.start - moved.start);
      return std::optional(found);
    }
    case SYS_mmap:
    case SYS_madvise: {
      constexpr std::uint64_t kDontNeed = MADV_DONTNEED;
      if (call.syscall == SYS_madvise && a[2] != kDontNeed) return out;
      const EventNumber entry =
          image.index().event_of_syscall_entry(hit.position.thread, hit.position.syscalls);
      const EventNumber exit =
          image.index().event_of_syscall_exit(hit.position.thread, hit.position.syscalls);
      const auto maps = image.index().maps_at(exit, image.process());
      const replay::Mapping* mapping = find(maps, slot.start);
      if (mapping == nullptr || mapping->path.empty()) return out;
      const std::uint64_t offset =
          mapping->file_offset + static_cast<std::uint64_t>(slot.start - mapping->range.start);
      out = written_to_file(image, *mapping, offset, entry);
      if (out && out->before.kind == replay::Mark::Kind::end) out->before = found.before;
      return out;
    }
    case SYS_process_vm_writev: {
      replay::PassSpec spec;
      spec.end = found.before;
      spec.deadline = deadline;
      VectorObserver observer(a, slot.start);
      CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
      count(stats, pass);
      if (!observer.source) return out;
      found.address = *observer.source;
      return std::optional(found);
    }
    case SYS_pwrite64:
      // To /proc/PID/mem the file's offset is the address.
      if (!foreign || slot.start.value < a[3] || slot.start.value - a[3] >= a[2]) return out;
      found.address = Address{a[1] + (slot.start.value - a[3])};
      return std::optional(found);
    default:
      return out;
  }
}

}  // namespace culprit::provenance
