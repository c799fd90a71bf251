#include "provenance/revisit.h"

#include <fmt/format.h>
#include <signal.h>
#include <string.h>

#include <utility>

namespace culprit::provenance {
namespace {

std::string replay_command(const replay::TraceIndex& index, ProcessId process, EventNumber event,
                           const RevisitStyle& style) {
  std::string out = style.prefix + "rr replay ";
  if (event && index.processes().size() > 1) out += fmt::format("-f {} ", process.value);
  if (event) out += fmt::format("-g {} ", event.value);
  return out + style.trace_directory;
}

std::string examine_command(const Slot& slot) {
  return slot.size == 8 ? fmt::format("x/gx {:#x}", slot.address.value)
                        : fmt::format("x/{}xb {:#x}", slot.size, slot.address.value);
}

/// A condition in C: the slot holds the value. Empty for sizes that C has no type for.
std::string holds_value(const Slot& slot) {
  const char* type = slot.size == 8   ? "unsigned long"
                     : slot.size == 4 ? "unsigned int"
                     : slot.size == 2 ? "unsigned short"
                     : slot.size == 1 ? "unsigned char"
                                      : nullptr;
  if (type == nullptr) return "";
  return fmt::format(" && *({}*){:#x} == {:#x}", type, slot.address.value, slot.value);
}

/// Signals of other threads (Go sends itself SIGURG all the time) would stop gdb on the way. Without
/// a pager, whose prompt would eat the lines that are pasted after it.
void ignore_signals(std::vector<std::string>& commands) {
  commands.emplace_back("set pagination off");
  commands.emplace_back("handle all nostop noprint pass");
}

/// `condition` is C, whatever language the code is in.
void run_to(std::vector<std::string>& commands, Address pc, const std::string& condition,
            std::uint64_t skip) {
  ignore_signals(commands);
  commands.emplace_back("set language c");
  commands.push_back(fmt::format("break *{:#x} if {}", pc.value, condition));
  if (skip != 0) commands.push_back(fmt::format("ignore $bpnum {}", skip));
  commands.emplace_back("continue");
  commands.emplace_back("set language auto");
}

/// The frame after which the thread runs the code that `at` lies in.
EventNumber last_event_before(const replay::TraceIndex& index, const replay::Position& at) {
  const EventNumber event = index.event_of(at);
  // The first frame of a thread that has made no call yet ends behind its first instructions.
  if (at.syscalls == 0 && event.value > 1) return EventNumber{event.value - 1};
  return event;
}

}  // namespace

report::Revisit revisit_store(const replay::TraceIndex& index, const WriterHit& writer,
                              const Slot& slot, const RevisitStyle& style) {
  report::Revisit out;
  out.event = last_event_before(index, writer.moment.position);
  out.command = replay_command(index, writer.moment.position.process, out.event, style);
  if (out.event && writer.repeats) {
    const Registers& registers = writer.moment.registers;
    Address pc{registers.rip};
    // Inside a repeated instruction: gdb would stop before its first iteration.
    if (writer.writer && writer.writer->instruction.address == pc) {
      pc = pc + writer.writer->instruction.length;
    }
    run_to(out.gdb_commands, pc,
           fmt::format("$rsp == {:#x}{}", registers.sp().value, holds_value(slot)),
           *writer.repeats);
    out.gdb_commands.emplace_back("backtrace");
    out.gdb_commands.push_back(examine_command(slot));
  }
  return out;
}

report::Revisit revisit_kernel_write(const replay::TraceIndex& index, const replay::Position& at,
                                     const Slot& slot, const RevisitStyle& style) {
  report::Revisit out;
  out.event = index.event_of_syscall_exit(at.thread, at.syscalls);
  // It did not return, or no system call made the change: stand before it.
  const bool after = static_cast<bool>(out.event);
  if (!after) out.event = last_event_before(index, at);
  out.command = replay_command(index, at.process, out.event, style);
  if (after) {
    out.gdb_commands.emplace_back("backtrace");
    out.gdb_commands.push_back(examine_command(slot));
  }
  return out;
}

report::Revisit revisit_crash(const replay::TraceIndex& index, const Moment& crash,
                              std::size_t noticed, const Slot* slot, const RevisitStyle& style) {
  report::Revisit out;
  const replay::Position& at = crash.position;
  const Registers& registers = crash.registers;
  if (crash.mark.kind == replay::Mark::Kind::syscall_entry) {
    // After that call's own frame the process has ended, so start behind the one before it.
    out.event = at.syscalls > 1 ? index.event_of_syscall_exit(at.thread, at.syscalls - 1)
                                : EventNumber{};
    if (!out.event && index.event_of(at).value > 1) {
      out.event = EventNumber{index.event_of(at).value - 1};
    }
    out.command = replay_command(index, at.process, out.event, style);
    run_to(out.gdb_commands, Address{registers.rip},
           fmt::format("$rsp == {:#x} && $rax == {}", registers.sp().value, registers[Gpr::rax]),
           0);
  } else {
    out.event = last_event_before(index, at);
    out.command = replay_command(index, at.process, out.event, style);
    const char* name = ::sigabbrev_np(crash.mark.signal);
    // gdb asks back before it changes what it does with these two.
    if (name != nullptr && crash.mark.signal != SIGTRAP && crash.mark.signal != SIGINT) {
      ignore_signals(out.gdb_commands);
      out.gdb_commands.push_back(fmt::format("handle SIG{} stop print", name));
    }
    out.gdb_commands.emplace_back("continue");
  }
  out.gdb_commands.emplace_back("backtrace");
  if (noticed > 0 && noticed < crash.frames.size()) {
    const Address entry = crash.frames[noticed].code.entry;
    if (entry) out.gdb_commands.push_back(fmt::format("frame function *{:#x}", entry.value));
  }
  if (slot != nullptr) out.gdb_commands.push_back(examine_command(*slot));
  return out;
}

report::Revisit revisit_reader(const report::Revisit& reader, const Slot& slot) {
  report::Revisit out = reader;
  if (!out.gdb_commands.empty() && out.gdb_commands.back().starts_with("x/")) {
    out.gdb_commands.pop_back();
  }
  if (!out.gdb_commands.empty()) out.gdb_commands.push_back(examine_command(slot));
  return out;
}

}  // namespace culprit::provenance
