#include "provenance/region_life.h"

#include <fmt/format.h>
#include <sys/syscall.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/syscall_names.h"
#include "provenance/visit.h"

namespace culprit::provenance {
namespace {

constexpr std::size_t kMaxChanges = 512;
constexpr std::uint64_t kPage = 4096;

/// A process and, while it was not forked yet, the one that it was forked from.
struct Generation {
  ProcessId process;
  EventNumber since;  ///< frames after this one count
  EventNumber until;
  EventNumber forked_from;  ///< the fork that made this generation; 0: none
};

/// Oldest first.
std::vector<Generation> lineage(const replay::TraceIndex& index, ProcessId process,
                                EventNumber until) {
  constexpr std::size_t kMost = 64;
  std::vector<Generation> out;
  while (out.size() < kMost) {
    const replay::TraceThread* leader = index.thread(ThreadId{process.value});
    const replay::TraceThread* parent = leader == nullptr ? nullptr : index.thread(leader->parent);
    const bool forked =
        parent != nullptr && leader->parent.value != 0 && parent->process != process;
    const EventNumber created = forked ? leader->created : EventNumber{0};
    out.push_back({process, created, until, created});
    if (!forked) break;
    until = std::min(until, created);
    process = parent->process;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

ByteRange pages(std::uint64_t start, std::uint64_t size) {
  const std::uint64_t begin = start & ~(kPage - 1);
  if (size > ~begin - 2 * kPage) return ByteRange{Address{begin}, ~begin};
  return ByteRange{Address{begin}, (start + size - begin + kPage - 1) & ~(kPage - 1)};
}

struct Change {
  const replay::Frame* frame = nullptr;
  const replay::FrameRegisters* registers = nullptr;
  bool contents_only = false;  ///< madvise: the mapping stays
};

/// Could this call have changed what is at the address?
std::optional<Change> change_of(const replay::Frame& frame, const replay::FrameRegisters* registers,
                                Address address, std::uint64_t& heap_end) {
  if (frame.kind != replay::FrameKind::syscall_exit || registers == nullptr) return std::nullopt;
  const auto& a = registers->arguments;
  const bool failed = registers->result < 0 && registers->result > -4096;
  const auto result = static_cast<std::uint64_t>(registers->result);
  if (failed) return std::nullopt;
  const Change change{&frame, registers, frame.number == SYS_madvise};
  switch (frame.number) {
    case SYS_execve:
    case SYS_execveat:
      heap_end = 0;
      return change;
    case SYS_mmap:
      return pages(result, a[1]).contains(address) ? std::optional(change) : std::nullopt;
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_pkey_mprotect:
    case SYS_madvise:
    case SYS_remap_file_pages:
      return pages(a[0], a[1]).contains(address) ? std::optional(change) : std::nullopt;
    case SYS_mremap:
      return pages(a[0], a[1]).contains(address) || pages(result, a[2]).contains(address)
                 ? std::optional(change)
                 : std::nullopt;
    case SYS_brk: {
      const std::uint64_t old = std::exchange(heap_end, result);
      const std::uint64_t low = std::min(old, result);
      const std::uint64_t high = std::max(old, result);
      const bool covers =
          old != 0 && address.value >= (low & ~(kPage - 1)) && address.value < high + kPage;
      return covers ? std::optional(change) : std::nullopt;
    }
    case SYS_shmat:
    case SYS_shmdt:
      return change;
    default:
      return std::nullopt;
  }
}

std::string rights(const replay::Mapping& m) {
  return fmt::format("{}{}{}{}", m.readable ? 'r' : '-', m.writable ? 'w' : '-',
                     m.executable ? 'x' : '-', m.shared ? 's' : 'p');
}

RegionTime time_of(const replay::Mapping& m) {
  RegionTime out;
  out.range = m.range;
  out.path = m.path;
  switch (m.kind) {
    case replay::MappingKind::file:
      out.description = fmt::format("mapping of {}, offset {:#x}", m.path, m.file_offset);
      break;
    case replay::MappingKind::stack:
      out.kind = report::RegionKind::stack;
      out.description = "stack of the process's first thread";
      break;
    case replay::MappingKind::heap:
      out.kind = report::RegionKind::heap;
      out.description = "heap area (brk)";
      break;
    case replay::MappingKind::vdso:
      out.kind = report::RegionKind::kernel;
      out.description = "vdso";
      break;
    case replay::MappingKind::recorder:
      out.description = "rr's own memory";
      break;
    case replay::MappingKind::anonymous:
      out.description = "anonymous mapping";
      break;
    case replay::MappingKind::other:
      out.description = m.path.empty() ? "mapping" : "mapping of " + m.path;
      break;
  }
  out.description += ", " + rights(m);
  return out;
}

const replay::Mapping* find(const std::vector<replay::Mapping>& maps, Address address) {
  const auto found = std::find_if(maps.begin(), maps.end(),
                                  [&](const auto& m) { return m.range.contains(address); });
  return found == maps.end() ? nullptr : &*found;
}

/// The same memory still, perhaps with other rights, or a part of it.
bool same_memory(const replay::Mapping& a, const replay::Mapping& b) {
  const bool grown_heap = a.kind == replay::MappingKind::heap && b.kind == a.kind;
  return a.kind == b.kind && a.path == b.path && a.shared == b.shared &&
         (grown_heap || a.created == b.created);
}

RegionEvent event_of(const replay::TraceIndex& index, ProcessId process, const Change& change) {
  RegionEvent out;
  out.caller = entry_of_call(index, *change.frame);
  out.event = index.event_of_syscall_entry(out.caller->thread, out.caller->ordinal);
  if (!out.event) out.event = change.frame->event;
  out.thread = change.frame->thread;
  out.process = process;
  out.description = call_text(static_cast<std::uint64_t>(change.frame->number),
                              change.registers->arguments, change.registers->result);
  replay::Hit::Kernel call;
  call.syscall = static_cast<std::uint64_t>(change.frame->number);
  call.arguments = change.registers->arguments;
  call.result = change.registers->result;
  call.remapped = true;
  if (change.frame->number == SYS_munmap || change.frame->number == SYS_mremap) {
    out.arguments = pages(call.arguments[0], call.arguments[1]);
  }
  out.call = call;
  return out;
}

class LifeBuilder {
 public:
  LifeBuilder(const replay::TraceIndex& index, Address address)
      : index_(index), address_(address) {}

  void add(ProcessId process, const Change& change) {
    const RegionEvent event = event_of(index_, process, change);
    const auto maps = index_.maps_at(change.frame->event, process);
    const replay::Mapping* now = find(maps, address_);
    const bool replaced =
        change.frame->number == SYS_execve || change.frame->number == SYS_execveat;
    if (now != nullptr && open_ && !replaced && same_memory(*open_, *now)) {
      // mprotect, madvise, a part unmapped elsewhere, a heap that grew.
      const std::string before = rights(*open_);
      open_ = *now;
      out.times.back().range = now->range;
      if (change.contents_only) note(event, "contents given up");
      if (rights(*now) != before) note(event, fmt::format("rights {} → {}", before, rights(*now)));
      return;
    }
    end(event);
    if (now == nullptr) return;
    open_ = *now;
    out.times.push_back(time_of(*now));
    out.times.back().from = event;
  }

  /// What was there at the beginning of what is known.
  void begin(EventNumber at, ProcessId process) {
    const auto maps = index_.maps_at(at, process);
    if (const replay::Mapping* now = find(maps, address_)) {
      open_ = *now;
      out.times.push_back(time_of(*now));
    }
  }

  void forked(const Generation& child) {
    const replay::TraceThread* leader = index_.thread(ThreadId{child.process.value});
    if (!open_ || leader == nullptr) return;
    RegionEvent event;
    event.event = child.forked_from;
    event.thread = leader->parent;
    event.process = child.process;
    event.description =
        fmt::format("process {} was forked: it has a copy of its own", child.process.value);
    if (!out.times.empty()) out.times.back().to = event;
    out.times.push_back(time_of(*open_));
    out.times.back().from = event;
  }

  RegionLife out;

 private:
  void end(const RegionEvent& event) {
    if (!out.times.empty() && open_) out.times.back().to = event;
    open_.reset();
  }
  void note(const RegionEvent& event, const std::string& what) {
    std::string& text = out.times.back().description;
    constexpr std::size_t kLongest = 1024;
    if (text.size() < kLongest) {
      text += fmt::format("; {} at event {} by thread {} ({})", what, event.event.value,
                          event.thread.value, event.description);
    }
  }

  const replay::TraceIndex& index_;
  Address address_;
  std::optional<replay::Mapping> open_;
};

/// Threads whose stack or thread-local storage the address was: their clone call names the stack's
/// top, and the mapping around it holds both (glibc and musl put the thread's descriptor above the
/// stack).
void add_threads(const replay::TraceIndex& index, const std::vector<Generation>& generations,
                 Address address, std::vector<RegionTime>& times) {
  const std::vector<RegionTime> mappings = times;
  constexpr std::uint64_t kCloneVm = 0x100;  // linux/sched.h
  constexpr std::uint64_t kCloneThread = 0x10000;
  constexpr std::size_t kMost = 4096;
  std::size_t looked = 0;
  for (const replay::TraceClone& clone : index.clones()) {
    if ((clone.flags & (kCloneVm | kCloneThread)) != (kCloneVm | kCloneThread)) continue;
    const replay::TraceThread* parent = index.thread(clone.parent);
    const replay::TraceThread* child = index.thread(clone.child);
    if (parent == nullptr || child == nullptr || ++looked > kMost) continue;
    const auto in = std::find_if(generations.begin(), generations.end(), [&](const Generation& g) {
      return g.process == parent->process && clone.event > g.since && clone.event <= g.until;
    });
    if (in == generations.end()) continue;
    const std::uint64_t ordinal = index.syscalls_until(clone.parent, clone.event);
    const replay::Frame* exit = index.frame(index.event_of_syscall_exit(clone.parent, ordinal));
    const replay::FrameRegisters* registers = exit == nullptr ? nullptr : index.registers_of(*exit);
    if (registers == nullptr || exit->number != SYS_clone || registers->arguments[1] == 0) continue;
    const Address top{registers->arguments[1]};
    const Address descriptor{registers->arguments[4]};
    const auto area = std::find_if(mappings.begin(), mappings.end(), [&](const RegionTime& time) {
      return (!time.from || time.from->event <= clone.event) &&
             (!time.to || clone.event < time.to->event) && time.range.contains(top - 1);
    });
    if (area == mappings.end()) continue;
    RegionTime out;
    out.owner = clone.child;
    const bool above = address >= top;
    out.kind = above ? report::RegionKind::tls : report::RegionKind::stack;
    out.range =
        above ? ByteRange{top, static_cast<std::uint64_t>(area->range.end() - top)}
              : ByteRange{area->range.start, static_cast<std::uint64_t>(top - area->range.start)};
    out.description = fmt::format("{} of thread {}",
                                  !above                  ? "stack"
                                  : address >= descriptor ? "descriptor"
                                                          : "thread-local storage",
                                  clone.child.value);
    RegionEvent from;
    from.event = clone.event;
    from.thread = clone.parent;
    from.process = parent->process;
    from.description = fmt::format("thread {} was started", clone.child.value);
    from.caller = entry_of_call(index, *exit);
    out.from = std::move(from);
    if (child->ended && child->ended <= in->until) {
      RegionEvent to;
      to.event = child->ended;
      to.thread = clone.child;
      to.process = parent->process;
      to.description = fmt::format("thread {} ended", clone.child.value);
      out.to = std::move(to);
    }
    times.push_back(std::move(out));
  }
}

report::LifeEvent life_event_of(const RegionEvent& event) {
  report::LifeEvent out;
  out.position.event = event.event;
  out.position.thread = event.thread;
  out.position.process = event.process;
  out.description = event.description;
  return out;
}

}  // namespace

std::string call_text(std::uint64_t number, const std::array<std::uint64_t, 6>& arguments,
                      std::int64_t result) {
  std::size_t count = 6;
  switch (number) {
    case SYS_brk:
      count = 1;
      break;
    case SYS_munmap:
    case SYS_fork:
    case SYS_vfork:
      count = 2;
      break;
    case SYS_execve:
    case SYS_mprotect:
    case SYS_madvise:
    case SYS_shmat:
      count = 3;
      break;
    case SYS_mremap:
    case SYS_clone:
      count = 5;
      break;
    default:
      break;
  }
  const std::string_view name = syscall_name(number);
  std::string out = name.empty() ? fmt::format("system call {}", number) : std::string(name);
  out += '(';
  for (std::size_t i = 0; i < count; ++i) out += (i > 0 ? ", " : "") + to_hex(arguments[i]);
  const bool small = result > -4096 && result < 4096;
  return out +
         ") = " + (small ? std::to_string(result) : to_hex(static_cast<std::uint64_t>(result)));
}

RegionLife region_life(const replay::TraceIndex& index, ProcessId process, EventNumber until,
                       Address address) {
  struct Step {
    std::size_t generation;
    Change change;
  };
  const std::vector<Generation> generations = lineage(index, process, until);
  std::vector<Step> steps;
  std::uint64_t heap_end = 0;
  for (const replay::Frame& frame : index.frames()) {
    if (frame.event > until) break;
    const replay::TraceThread* thread = index.thread(frame.thread);
    if (thread == nullptr) continue;
    for (std::size_t g = 0; g < generations.size(); ++g) {
      const Generation& in = generations[g];
      if (thread->process != in.process || frame.event <= in.since || frame.event > in.until)
        continue;
      if (auto change = change_of(frame, index.registers_of(frame), address, heap_end)) {
        steps.push_back({g, *change});
      }
    }
  }
  const std::size_t left_out = steps.size() > kMaxChanges ? steps.size() - kMaxChanges : 0;

  LifeBuilder builder(index, address);
  builder.out.left_out = left_out;
  std::size_t generation = 0;
  if (left_out > 0) {
    const Step& last = steps[left_out - 1];
    builder.begin(last.change.frame->event, generations[last.generation].process);
    generation = last.generation;
  }
  const auto enter = [&](std::size_t g) {
    for (; generation < g; ++generation) builder.forked(generations[generation + 1]);
  };
  for (std::size_t i = left_out; i < steps.size(); ++i) {
    enter(steps[i].generation);
    builder.add(generations[steps[i].generation].process, steps[i].change);
  }
  enter(generations.size() - 1);

  RegionLife out = std::move(builder.out);
  add_threads(index, generations, address, out.times);
  std::stable_sort(out.times.begin(), out.times.end(),
                   [](const RegionTime& a, const RegionTime& b) {
                     return (a.from ? a.from->event.value : 0) < (b.from ? b.from->event.value : 0);
                   });
  return out;
}

std::vector<RegionTime> mapping_life(const replay::TraceIndex& index, ProcessId process,
                                     EventNumber until, Address address) {
  EventNumber begin;
  for (const replay::TraceExec& exec : index.execs()) {
    const replay::TraceThread* thread = index.thread(exec.thread);
    if (exec.event <= until && thread != nullptr && thread->process == process) begin = exec.event;
  }
  std::vector<RegionTime> all = region_life(index, process, until, address).times;
  std::vector<RegionTime> out;
  for (const RegionTime& time : all) {
    // A process's first mappings, and its copies of its parent's, have nobody who made them.
    const bool made = time.from && time.from->call && time.from->process == process;
    if (!time.owner && made && time.from->event > begin) out.push_back(time);
  }
  for (RegionTime& time : out) {
    const auto thread = std::find_if(all.begin(), all.end(), [&](const RegionTime& part) {
      return part.owner && part.kind == report::RegionKind::stack &&
             part.from->event >= time.from->event &&
             (!time.to || part.from->event < time.to->event);
    });
    if (thread == all.end()) continue;
    time.kind = thread->kind;
    time.description = "the " + thread->description;
  }
  return out;
}

report::RegionPeriod period_of(const RegionTime& time) {
  report::RegionPeriod out;
  out.kind = time.kind;
  out.range = time.range;
  out.description = time.description;
  if (time.from) out.from = life_event_of(*time.from);
  if (time.to) out.to = life_event_of(*time.to);
  return out;
}

}  // namespace culprit::provenance
