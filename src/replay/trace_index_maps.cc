// The address space of a process at an event, folded from the system calls that changed it.
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <map>

#include "replay/trace_index_data.h"

namespace culprit::replay {
namespace {

using MappingsByStart = std::map<std::uint64_t, Mapping>;

constexpr std::uint64_t kPage = 4096;
// rr's own pages in every tracee (rr 5.6 src/preload/preload_interface.h and src/AddressSpace.cc).
constexpr ByteRange kRrPage{Address{0x6fffd000}, 0x6000};
constexpr ByteRange kRrThreadLocals{Address{0x68000000}, 0x200000};

std::uint64_t page_up(std::uint64_t size) {
  return size > ~std::uint64_t{0} - kPage ? size : (size + kPage - 1) & ~(kPage - 1);
}

/// Makes `at` a boundary between mappings.
void split(MappingsByStart& maps, std::uint64_t at) {
  auto after = maps.upper_bound(at);
  if (after == maps.begin()) return;
  Mapping& left = std::prev(after)->second;
  if (left.range.start.value == at || !left.range.contains(Address{at})) return;
  Mapping right = left;
  const std::uint64_t head = at - left.range.start.value;
  right.range = {Address{at}, left.range.size - head};
  right.file_offset += head;
  right.bytes_offset += head;
  left.range.size = head;
  maps.emplace(at, std::move(right));
}

/// The mappings inside a range, after splitting at its ends: [first, last).
std::pair<MappingsByStart::iterator, MappingsByStart::iterator> within(MappingsByStart& maps,
                                                                       ByteRange range) {
  split(maps, range.start.value);
  const bool wraps = range.size > ~range.start.value;
  if (!wraps) split(maps, range.end().value);
  return {maps.lower_bound(range.start.value),
          wraps ? maps.end() : maps.lower_bound(range.end().value)};
}

void remove(MappingsByStart& maps, ByteRange range) {
  if (range.empty()) return;
  const auto [first, last] = within(maps, range);
  maps.erase(first, last);
}

void insert(MappingsByStart& maps, Mapping mapping) {
  if (mapping.range.empty()) return;
  remove(maps, mapping.range);
  maps.insert_or_assign(mapping.range.start.value, std::move(mapping));
}

MappingKind kind_of(const ByteRange& range, std::string_view path) {
  if (kRrPage.contains(range.start) || kRrThreadLocals.contains(range.start)) {
    return MappingKind::recorder;
  }
  if (path.starts_with('/')) return MappingKind::file;
  if (path == "[stack]") return MappingKind::stack;
  if (path == "[vdso]") return MappingKind::vdso;
  if (path == "[heap]") return MappingKind::heap;
  if (path.empty() || path == "<ZERO>") return MappingKind::anonymous;
  return MappingKind::other;
}

}  // namespace

std::vector<Mapping> TraceIndex::maps_at(EventNumber event, ProcessId process) const {
  const Data& data = *data_;
  if (event.value <= 0) event = data.frames.back().event;

  // The process and those that it was forked from, with the event up to which each one counts.
  struct Ancestor {
    std::int32_t process;
    EventNumber until;
  };
  std::vector<Ancestor> lineage;
  for (ProcessId at = process; lineage.size() < 4096;) {
    lineage.push_back({at.value, event});
    const TraceThread* leader = data.find_thread(ThreadId{at.value});
    if (leader == nullptr || leader->parent.value == 0) break;
    const TraceThread* parent = data.find_thread(leader->parent);
    if (parent == nullptr || parent->process == at) break;
    event = std::min(event, leader->created);
    at = parent->process;
  }
  std::reverse(lineage.begin(), lineage.end());

  // One file may have its copy in the trace named at one of its mappings only.
  std::unordered_map<std::uint32_t, const TraceMapping*> copies;
  for (const TraceMapping& mapping : data.mappings) {
    if (mapping.data_file != 0) copies.try_emplace(mapping.path, &mapping);
  }

  MappingsByStart maps;
  std::size_t generation = 0;
  EventNumber since{0};
  const auto mapping_of = [&](const TraceMapping& from) {
    Mapping mapping;
    mapping.range = {from.range.start, page_up(from.range.size)};
    mapping.readable = from.prot[0] == 'r';
    mapping.writable = from.prot[1] == 'w';
    mapping.executable = from.prot[2] == 'x';
    mapping.shared = from.prot[3] == 's';
    const std::string_view path = string_of(from.path);
    mapping.kind = kind_of(mapping.range, path);
    mapping.created = from.event;
    if (mapping.kind != MappingKind::anonymous && path != "<ZERO>") mapping.path = path;
    if (mapping.kind == MappingKind::file || path.starts_with('/')) {
      mapping.file_offset = from.file_offset;
      const auto copy = copies.find(from.path);
      if (from.data_file != 0) {
        mapping.bytes_from = string_of(from.data_file);
        mapping.bytes_offset = from.data_offset;
      } else if (copy != copies.end() && copy->second->data_offset == copy->second->file_offset) {
        mapping.bytes_from = string_of(copy->second->data_file);
        mapping.bytes_offset = from.file_offset;
      } else {
        mapping.bytes_from = path;
        mapping.bytes_offset = from.file_offset;
      }
    }
    return mapping;
  };

  const auto fold = [&](const Frame& frame) {
    const FrameRegisters* registers = registers_of(frame);
    if (registers == nullptr) return;
    if (registers->result < 0 && registers->result > -4096) return;
    const auto& a = registers->arguments;
    const auto result = static_cast<std::uint64_t>(registers->result);
    const auto [first, last] = std::equal_range(
        data.mappings.begin(), data.mappings.end(),
        TraceMapping{frame.event, {}, {}, 0, 0, 0, 0, 0, {}},
        [](const TraceMapping& x, const TraceMapping& y) { return x.event < y.event; });
    switch (frame.number) {
      case SYS_execve:
      case SYS_execveat:
        maps.clear();
        for (auto each = first; each != last; ++each) insert(maps, mapping_of(*each));
        break;
      case SYS_munmap:
        remove(maps, {Address{a[0]}, page_up(a[1])});
        break;
      case SYS_mprotect:
      case SYS_pkey_mprotect: {
        if (a[1] == 0) break;
        const auto [begin, end] = within(maps, {Address{a[0]}, page_up(a[1])});
        for (auto each = begin; each != end; ++each) {
          each->second.readable = (a[2] & PROT_READ) != 0;
          each->second.writable = (a[2] & PROT_WRITE) != 0;
          each->second.executable = (a[2] & PROT_EXEC) != 0;
        }
        break;
      }
      case SYS_mremap: {
        Mapping moved;
        if (const auto from = maps.upper_bound(a[0]); from != maps.begin()) {
          const Mapping& old = std::prev(from)->second;
          if (old.range.contains(Address{a[0]})) {
            moved = old;
            moved.file_offset += a[0] - old.range.start.value;
            moved.bytes_offset += a[0] - old.range.start.value;
          }
        }
        constexpr std::uint64_t dont_unmap = 4;  // MREMAP_DONTUNMAP, linux/mman.h
        if ((a[3] & dont_unmap) == 0) remove(maps, {Address{a[0]}, page_up(a[1])});
        moved.range = {Address{result}, page_up(a[2])};
        if (result != a[0]) moved.created = frame.event;
        insert(maps, std::move(moved));
        break;
      }
      case SYS_brk: {
        // The mapping record holds the whole of what was added; a smaller result takes away.
        for (auto each = first; each != last; ++each) {
          Mapping mapping = mapping_of(*each);
          if (mapping.kind == MappingKind::anonymous) mapping.kind = MappingKind::heap;
          if (!mapping.range.empty()) mapping.path = "[heap]";
          insert(maps, std::move(mapping));
        }
        const auto after = maps.upper_bound(result);
        if (after != maps.begin()) {
          const Mapping& heap = std::prev(after)->second;
          if (heap.kind == MappingKind::heap && heap.range.contains(Address{result})) {
            remove(maps, {Address{page_up(result)}, heap.range.end().value - page_up(result)});
          }
        }
        break;
      }
      case SYS_shmdt:
        if (const auto segment = maps.find(a[0]); segment != maps.end()) maps.erase(segment);
        break;
      default:
        for (auto each = first; each != last; ++each) insert(maps, mapping_of(*each));
        if (first == last && frame.number == SYS_mmap && a[1] != 0) {
          Mapping mapping;
          mapping.range = {Address{result}, page_up(a[1])};
          mapping.readable = (a[2] & PROT_READ) != 0;
          mapping.writable = (a[2] & PROT_WRITE) != 0;
          mapping.executable = (a[2] & PROT_EXEC) != 0;
          mapping.shared = (a[3] & MAP_SHARED) != 0;
          mapping.kind = (a[3] & MAP_ANONYMOUS) != 0 ? MappingKind::anonymous : MappingKind::other;
          mapping.created = frame.event;
          insert(maps, std::move(mapping));
        }
        break;
    }
  };

  for (const std::uint32_t index : data.map_frames) {
    const Frame& frame = data.frames[index];
    while (generation < lineage.size() && frame.event > lineage[generation].until) {
      since = lineage[generation].until;
      ++generation;
    }
    if (generation == lineage.size()) break;
    if (frame.event <= since) continue;
    const TraceThread* thread = data.find_thread(frame.thread);
    if (thread != nullptr && thread->process.value == lineage[generation].process) fold(frame);
  }

  std::vector<Mapping> result;
  result.reserve(maps.size());
  for (auto& [start, mapping] : maps) result.push_back(std::move(mapping));
  return result;
}

}  // namespace culprit::replay
