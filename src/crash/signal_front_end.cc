#include "crash/signal_front_end.h"

#include <string>
#include <utility>

namespace culprit::crash {
namespace {

constexpr int kSigill = 4;
constexpr int kSigtrap = 5;
constexpr int kSigabrt = 6;
constexpr int kSigbus = 7;
constexpr int kSigfpe = 8;
constexpr int kSigsegv = 11;
constexpr int kSiKernel = 0x80;

// Who sent it: the kernel for a fault (positive codes), or somebody by kill, tgkill, raise,
// sigqueue.
bool is_fault(const ExitInfo& exit) { return !exit.signal_code || *exit.signal_code > 0; }

CrashHint hint_of_signal(const ExitInfo& exit) {
  switch (*exit.signal) {
    case kSigsegv:
    case kSigbus:
      return exit.signal_code != kSiKernel && exit.fault_address && is_fault(exit) &&
                     exit.fault_address->value < 4096
                 ? CrashHint::null_access
                 : CrashHint::invalid_access;
    case kSigfpe:
      return CrashHint::arithmetic_trap;
    case kSigill:
      return CrashHint::illegal_instruction;
    case kSigtrap:
      return CrashHint::trap;
    case kSigabrt:
      return CrashHint::abort;
    default:
      return CrashHint::none;
  }
}

void add_fault(CrashReport& report, const ExitInfo& exit) {
  switch (*exit.signal) {
    case kSigsegv:
    case kSigbus: {
      if (exit.signal_code == kSiKernel) {
        report.message.push_back(
            "general protection fault: the address is not known to the kernel");
        return;
      }
      if (!exit.fault_address) return;
      report.fault_address = exit.fault_address;
      Suspect suspect;
      suspect.role = Role::fault_address;
      suspect.value = exit.fault_address->value;
      suspect.description = *suspect.value < 4096
                                ? "address that was accessed: a null pointer plus an offset"
                                : "address that was accessed and is not mapped that way";
      report.suspects.push_back(std::move(suspect));
      return;
    }
    case kSigill:
    case kSigtrap:
    case kSigfpe:  // si_addr is the instruction's own address
      report.fault_address = exit.fault_address;
      if (!report.pc) report.pc = exit.fault_address;
      return;
    default:
      return;
  }
}

std::vector<CrashReport> parse_signal(std::string_view /*text*/, const ExitInfo& exit) {
  std::vector<CrashReport> reports;
  CrashReport report;
  report.front_end = "signal";
  report.pc = exit.pc;
  if (exit.signal) {
    report.kind = Kind::signal;
    report.signal = exit.signal;
    report.signal_code = exit.signal_code;
    report.hint = hint_of_signal(exit);
    if (is_fault(exit)) add_fault(report, exit);
  } else if (exit.exit_status && *exit.exit_status != 0) {
    report.kind = Kind::exit_status;
    report.exit_status = exit.exit_status;
  } else {
    return reports;
  }
  reports.push_back(std::move(report));
  return reports;
}

}  // namespace

constinit const FrontEnd kSignalFrontEnd{"signal", &parse_signal};

}  // namespace culprit::crash
