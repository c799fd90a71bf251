#include "agent/pass/pass_plan.h"

#include <unistd.h>

#ifndef CULPRIT_VERSION
#define CULPRIT_VERSION "unversioned"
#endif

namespace culprit::agent {
namespace {

/// Table entries altogether; the driver stays far below.
constexpr std::size_t kMaxEntries = 2'000'000;
/// The end of user space with four-level page tables (arch/x86/include/asm/page_64_types.h).
constexpr std::uint64_t kUserEnd = std::uint64_t{1} << 47;

std::string problem_with_mark(const wire::Spec& spec, const wire::Mark& mark) {
  if (mark.kind == wire::MarkKind::end) return {};
  if (mark.kind == wire::MarkKind::probe_hit && mark.probe >= spec.probes.size()) {
    return "a mark names a probe that is not there";
  }
  if (mark.kind != wire::MarkKind::signal_stop && mark.ordinal == 0) {
    return "a mark's ordinal counts from 1";
  }
  return {};
}

template <typename M, typename Entries>
bool take_table(const wire::FrameView& frame, Entries& entries) {
  auto message = wire::parse_payload<M>(frame.payload);
  if (!message || entries.size() + message->entries.size() > kMaxEntries) return false;
  entries.insert(entries.end(), message->entries.begin(), message->entries.end());
  return true;
}

}  // namespace

std::string problem_with(const wire::Spec& spec) {
  for (const wire::Unit& unit : spec.units) {
    const std::uint8_t n = unit.length;
    if ((n != 1 && n != 2 && n != 4 && n != 8) || unit.address % n != 0) {
      return "a watched unit is not naturally aligned";
    }
    if (unit.kind == wire::ProbeKind::execute && n != 1) return "an execute unit is not one byte";
    if (unit.address > kUserEnd - n) return "a watched address is not in user space";
  }
  for (const wire::Probe& probe : spec.probes) {
    if (probe.units == 0 || probe.units >> spec.units.size() != 0) {
      return "a probe names a unit that is not there";
    }
    if (probe.size < 1 || probe.size > 8) return "a probe watches 1 to 8 bytes";
    if (probe.address > kUserEnd - probe.size) return "a watched address is not in user space";
  }
  if (auto problem = problem_with_mark(spec, spec.end); !problem.empty()) return problem;
  if (spec.begin) {
    if (auto problem = problem_with_mark(spec, *spec.begin); !problem.empty()) return problem;
    if (spec.begin->kind == wire::MarkKind::end) return "a step window cannot begin at the end";
    if (spec.max_steps == 0) return "a step window of no steps";
    if (spec.heap) return "a step window and the heap's book in one pass";
  }
  if (spec.activation) {
    if (spec.begin || spec.heap) return "a step window besides another, or the heap's book";
    if (spec.activation->entries.empty()) return "an activation without an entry";
    if (spec.max_steps == 0) return "a step window of no steps";
    for (const wire::ActivationSpec::Entry& entry : spec.activation->entries) {
      if (entry.probe >= spec.probes.size()) return "an activation of no probe";
      const wire::Probe& probe = spec.probes[entry.probe];
      if (probe.kind != wire::ProbeKind::execute || !probe.thread) {
        return "an activation's entry is an instruction of one thread";
      }
    }
  }
  return {};
}

std::optional<PassPlan> receive_plan(ControlChannel& channel) {
  wire::Hello hello;
  hello.pid = static_cast<std::int32_t>(::getpid());
  hello.build = CULPRIT_VERSION;
  channel.send(hello);
  channel.flush();

  PassPlan plan;
  bool spec_seen = false;
  std::string problem;
  while (problem.empty()) {
    const auto frame = channel.receive();
    if (!frame) return std::nullopt;
    switch (frame->type) {
      case wire::Type::spec:
        if (auto spec = wire::parse_payload<wire::Spec>(frame->payload); spec && !spec_seen) {
          plan.spec = std::move(*spec);
          spec_seen = true;
          problem = problem_with(plan.spec);
        } else {
          problem = "a malformed specification";
        }
        break;
      case wire::Type::clones:
        if (!take_table<wire::Clones>(*frame, plan.clones)) problem = "a malformed table of clones";
        break;
      case wire::Type::kernel_writes:
        if (!take_table<wire::KernelWrites>(*frame, plan.kernel_writes)) {
          problem = "a malformed table of kernel writes";
        }
        break;
      case wire::Type::start:
        if (spec_seen) return plan;
        problem = "started without a specification";
        break;
      default:
        problem = "an unexpected message";
        break;
    }
  }
  channel.send(wire::Failed{wire::Failed::Reason::usage, problem});
  channel.flush();
  return std::nullopt;
}

}  // namespace culprit::agent
