#include "provenance/shared_memory.h"

#include <algorithm>

namespace culprit::provenance {
namespace {

/// The frame before the process's end, if that is before `at`.
EventNumber last_of(const replay::TraceIndex& index, ProcessId process, EventNumber at) {
  // The leader of a thread group has the group's number.
  const replay::TraceThread* leader = index.thread(ThreadId{process.value});
  if (leader == nullptr || !leader->ended) return at;
  const EventNumber before{std::max<std::int64_t>(leader->ended.value - 1, 1)};
  return at && at < before ? at : before;
}

bool is_same_memory(const replay::Mapping& a, const replay::Mapping& b) {
  if (!a.shared || !b.shared || a.path != b.path) return false;
  // rr gives shared memory without a file a name of its own; without any, only a fork shares it.
  return !a.path.empty() || (a.created == b.created && a.range.start == b.range.start);
}

}  // namespace

std::vector<SharedPlace> other_places(const ProcessImage& image, ByteRange slot) {
  std::vector<SharedPlace> out;
  const replay::Mapping* mine = image.mapping_of(slot.start);
  if (mine == nullptr || !mine->shared || slot.end().value > mine->range.end().value) return out;
  const std::uint64_t offset =
      static_cast<std::uint64_t>(slot.start - mine->range.start) + mine->file_offset;
  const replay::TraceIndex& index = image.index();
  for (const ProcessId process : index.processes()) {
    if (process == image.process()) continue;
    const EventNumber at = last_of(index, process, image.mapped_at());
    for (const replay::Mapping& theirs : index.maps_at(at, process)) {
      if (!is_same_memory(*mine, theirs) || offset < theirs.file_offset ||
          offset - theirs.file_offset + slot.size > theirs.range.size) {
        continue;
      }
      const Address address =
          theirs.range.start + static_cast<std::int64_t>(offset - theirs.file_offset);
      out.push_back({process, address, at});
    }
  }
  return out;
}

}  // namespace culprit::provenance
