#include "replay/pass_specification.h"

#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace culprit::replay {
namespace {

namespace wire = agent::wire;

/// The end of user space (x86-64 with four-level page tables).
constexpr std::uint64_t kUserEnd = std::uint64_t{1} << 47;
constexpr std::array<std::uint8_t, 4> kUnitLengths{1, 2, 4, 8};
constexpr std::uint32_t kMaxKept = 1 << 20;
constexpr std::uint32_t kMaxSteps = 4'000'000;
/// Recorded kernel writes sent with a pass; later ones are found by comparing bytes alone.
constexpr std::size_t kMaxKernelWrites = 500'000;

Error usage(std::string message) { return Error{ErrorCode::usage, std::move(message)}; }

/// The index of `unit` in `units`, added if there is room.
Result<std::uint8_t> unit_index(std::vector<wire::Unit>& units, const wire::Unit& unit) {
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (units[i].address == unit.address && units[i].length == unit.length &&
        units[i].kind == unit.kind) {
      return static_cast<std::uint8_t>(i);
    }
  }
  if (units.size() == wire::kMaxUnits) {
    return usage("the pass needs more than the processor's four debug registers");
  }
  units.push_back(unit);
  return static_cast<std::uint8_t>(units.size() - 1);
}

/// The debug registers that cover the probe, as a bit mask.
Result<std::uint8_t> assign_units(std::vector<wire::Unit>& units, const Probe& probe) {
  std::uint8_t mask = 0;
  if (probe.kind == ProbeKind::execute) {
    CULPRIT_ASSIGN(const std::uint8_t index,
                   unit_index(units, {probe.address.value, 1, wire::ProbeKind::execute}));
    return static_cast<std::uint8_t>(1u << index);
  }
  // The smallest aligned unit that holds all of it; else two, each as small as can be.
  const std::uint64_t first = probe.address.value;
  const std::uint64_t last = first + probe.size - 1;
  for (const std::uint8_t length : kUnitLengths) {
    if ((first & ~std::uint64_t{length - 1u}) != (last & ~std::uint64_t{length - 1u})) continue;
    CULPRIT_ASSIGN(const std::uint8_t index, unit_index(units, {first & ~std::uint64_t{length - 1u},
                                                                length, wire::ProbeKind::write}));
    return static_cast<std::uint8_t>(1u << index);
  }
  const std::uint64_t middle = last & ~std::uint64_t{7};
  for (const auto& [from, to] : {std::pair{first, middle - 1}, std::pair{middle, last}}) {
    for (const std::uint8_t length : kUnitLengths) {
      const std::uint64_t base = from & ~std::uint64_t{length - 1u};
      if (base != (to & ~std::uint64_t{length - 1u})) continue;
      CULPRIT_ASSIGN(const std::uint8_t index,
                     unit_index(units, {base, length, wire::ProbeKind::write}));
      mask = static_cast<std::uint8_t>(mask | 1u << index);
      break;
    }
  }
  return mask;
}

Result<std::uint8_t> add_probe(wire::Spec& spec, const Probe& probe, bool report) {
  if (probe.kind == ProbeKind::write && (probe.size < 1 || probe.size > 8)) {
    return usage("a write probe watches 1 to 8 bytes, not " + std::to_string(probe.size));
  }
  const std::uint8_t size = probe.kind == ProbeKind::write ? probe.size : std::uint8_t{1};
  if (probe.address.value < 4096 || probe.address.value > kUserEnd - size) {
    return usage("nothing can be watched at " + to_hex(probe.address));
  }
  if (probe.keep_last > kMaxKept) return usage("a probe can keep at most 1048576 hits");
  if (spec.probes.size() == wire::kMaxProbes) return usage("a pass can have at most 16 probes");
  wire::Probe out;
  out.kind = probe.kind == ProbeKind::write ? wire::ProbeKind::write : wire::ProbeKind::execute;
  out.address = probe.address.value;
  out.size = size;
  CULPRIT_ASSIGN(out.units, assign_units(spec.units, probe));
  if (probe.thread) out.thread = probe.thread->value;
  if (probe.process) out.process = probe.process->value;
  if (probe.filter && probe.kind == ProbeKind::write) {
    const std::uint64_t bytes =
        size == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * size)) - 1;
    out.filtered = true;
    out.mask = probe.filter->mask & bytes;
    // A value with bits outside the mask or the bytes matches nothing, and stays so.
    out.value = probe.filter->value;
  }
  out.keep_last = probe.keep_last;
  out.live = probe.live && probe.keep_last == 0;
  out.report = report;
  spec.probes.push_back(out);
  return static_cast<std::uint8_t>(spec.probes.size() - 1);
}

bool counts_the_same(const wire::Probe& a, const Probe& b) {
  const bool write = b.kind == ProbeKind::write;
  if ((a.kind == wire::ProbeKind::write) != write || a.address != b.address.value) return false;
  if (write && a.size != b.size) return false;
  if (a.thread.has_value() != b.thread.has_value() || (b.thread && *a.thread != b.thread->value)) {
    return false;
  }
  if (a.process.has_value() != b.process.has_value() ||
      (b.process && *a.process != b.process->value)) {
    return false;
  }
  if (!write) return true;
  if (a.filtered != b.filter.has_value()) return false;
  const std::uint64_t bytes =
      a.size == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * a.size)) - 1;
  return !b.filter || (a.value == b.filter->value && a.mask == (b.filter->mask & bytes));
}

Result<wire::Mark> make_mark(wire::Spec& spec, const Mark& mark, const TraceIndex& index) {
  wire::Mark out;
  out.ordinal = mark.ordinal;
  out.thread = mark.thread.value;
  out.signal = mark.signal;
  switch (mark.kind) {
    case Mark::Kind::end:
      out.kind = wire::MarkKind::end;
      return out;
    case Mark::Kind::probe_hit: {
      out.kind = wire::MarkKind::probe_hit;
      bool found = false;
      for (std::size_t i = 0; i < spec.probes.size() && !found; ++i) {
        found = counts_the_same(spec.probes[i], mark.probe);
        if (found) out.probe = static_cast<std::uint8_t>(i);
      }
      if (!found) {
        Probe silent = mark.probe;
        silent.keep_last = 0;
        silent.live = false;
        CULPRIT_ASSIGN(out.probe, add_probe(spec, silent, false));
      }
      break;
    }
    case Mark::Kind::syscall_entry:
      out.kind = wire::MarkKind::syscall_entry;
      break;
    case Mark::Kind::syscall_exit:
      out.kind = wire::MarkKind::syscall_exit;
      break;
    case Mark::Kind::signal_stop:
      out.kind = wire::MarkKind::signal_stop;
      break;
  }
  if (mark.kind != Mark::Kind::signal_stop && mark.ordinal == 0) {
    return usage("a mark's ordinal counts from 1");
  }
  if (mark.kind == Mark::Kind::syscall_exit || mark.kind == Mark::Kind::signal_stop) {
    const Frame* exit = index.frame(index.event_of_syscall_exit(mark.thread, mark.ordinal));
    const FrameRegisters* registers = exit != nullptr ? index.registers_of(*exit) : nullptr;
    if (registers != nullptr) out.recorded_result = registers->result;
  }
  return out;
}

std::vector<wire::KernelWrites::Entry> kernel_writes(const wire::Spec& spec,
                                                     const TraceIndex& index) {
  std::vector<wire::KernelWrites::Entry> result;
  const bool any = std::any_of(spec.probes.begin(), spec.probes.end(), [](const wire::Probe& p) {
    return p.kind == wire::ProbeKind::write;
  });
  if (!any) return result;
  for (const KernelWrite& write : index.kernel_writes()) {
    std::uint16_t probes = 0;
    for (std::size_t i = 0; i < spec.probes.size(); ++i) {
      const wire::Probe& probe = spec.probes[i];
      if (probe.kind == wire::ProbeKind::write &&
          write.range.overlaps({Address{probe.address}, probe.size})) {
        probes = static_cast<std::uint16_t>(probes | 1u << i);
      }
    }
    if (probes == 0) continue;
    const Frame* frame = index.frame(write.event);
    if (frame == nullptr) continue;
    wire::KernelWrites::Entry entry;
    entry.thread = write.thread.value;
    entry.target = write.target.value;
    entry.ordinal = index.syscalls_until(write.thread, write.event);
    entry.probes = probes;
    entry.number = frame->number;
    if (frame->kind == FrameKind::signal_handler || frame->kind == FrameKind::signal_delivery ||
        frame->kind == FrameKind::signal) {
      entry.cause = wire::KernelCause::signal_frame;
    } else if (frame->kind == FrameKind::exit) {
      entry.number = SYS_exit;  // the thread id that the kernel clears when a thread ends
    }
    if (frame->kind == FrameKind::syscall_exit) {
      if (const FrameRegisters* registers = index.registers_of(*frame)) {
        entry.result = registers->result;
      }
    }
    result.push_back(entry);
    if (result.size() == kMaxKernelWrites) break;
  }
  return result;
}

}  // namespace

Result<PassOrders> make_orders(const PassSpec& pass, const TraceIndex& index,
                               std::uint64_t max_hits) {
  PassOrders orders;
  wire::Spec& spec = orders.spec;
  spec.first_thread = index.first_thread().value;
  spec.map_events = pass.map_events;
  spec.max_hits = max_hits;
  spec.stop_budget = pass.stop_budget;
  for (const Probe& probe : pass.probes) CULPRIT_TRY(add_probe(spec, probe, true));
  CULPRIT_ASSIGN(spec.end, make_mark(spec, pass.end, index));
  if (pass.step) {
    if (pass.step->begin.kind == Mark::Kind::end) {
      return usage("a step window cannot begin at the end of the trace");
    }
    if (pass.step->max_steps == 0 || pass.step->max_steps > kMaxSteps) {
      return usage("a step window keeps 1 to 4000000 steps");
    }
    CULPRIT_ASSIGN(spec.begin, make_mark(spec, pass.step->begin, index));
    spec.max_steps = pass.step->max_steps;
    spec.step_budget = pass.step->budget;
  }
  if (pass.activation) {
    const ActivationSpec& wanted = *pass.activation;
    if (pass.step || pass.heap) {
      return usage("an activation's steps do not go together with a window or the heap's book");
    }
    if (wanted.entries.empty() || wanted.entries.size() > wire::kMaxActivations) {
      return usage("a pass looks for 1 to 4 activations");
    }
    if (wanted.budget == 0 || wanted.budget > kMaxSteps) {
      return usage("a step window keeps 1 to 4000000 steps");
    }
    wire::ActivationSpec& out = spec.activation.emplace();
    for (const ActivationSpec::Entry& entry : wanted.entries) {
      if (entry.probe >= pass.probes.size() ||
          pass.probes[entry.probe].kind != ProbeKind::execute || !pass.probes[entry.probe].thread) {
        return usage("an activation's entry is an instruction of one thread");
      }
      out.entries.push_back({static_cast<std::uint8_t>(entry.probe), entry.sp.value});
    }
    out.syscalls_from = wanted.syscalls_from;
    out.outer_steps = wanted.outer_steps;
    out.budget = wanted.budget;
    spec.max_steps = wanted.budget;
  }
  if (pass.heap) {
    if (pass.step) return usage("a step window and the heap's book do not go together");
    if (pass.heap->functions.size() > wire::kMaxHeapFunctions) {
      return usage("too many allocator functions");
    }
    wire::HeapSpec& heap = spec.heap.emplace();
    heap.max_calls = pass.heap->max_calls;
    for (const HeapFunction& function : pass.heap->functions) {
      // The enumerations are the same list.
      heap.functions.push_back({static_cast<wire::HeapRole>(function.role), function.address.value,
                                function.code});
    }
  }
  constexpr std::uint64_t clone_vm = 0x100;  // linux/sched.h
  constexpr std::uint64_t clone_thread = 0x10000;
  for (const TraceClone& clone : index.clones()) {
    orders.clones.push_back({clone.parent.value, clone.child.value,
                             (clone.flags & clone_thread) != 0, (clone.flags & clone_vm) != 0});
  }
  orders.kernel_writes = kernel_writes(spec, index);
  return orders;
}

}  // namespace culprit::replay
