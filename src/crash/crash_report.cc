#include "crash/crash_report.h"

#include <array>
#include <utility>

#include "base/types.h"

namespace culprit::crash {
namespace {

struct KindNames {
  Kind kind;
  std::string_view name;
  std::string_view title;
};

constexpr std::array kKinds{
    KindNames{Kind::user_named, "user_named", "Named by the user"},
    KindNames{Kind::go_bad_pointer, "go_bad_pointer", "Go: bad pointer in the heap"},
    KindNames{Kind::go_marked_free_object, "go_marked_free_object",
              "Go: pointer to a freed object"},
    KindNames{Kind::go_bad_stack_pointer, "go_bad_stack_pointer", "Go: bad pointer on a stack"},
    KindNames{Kind::go_checkptr, "go_checkptr", "Go: checkptr refused an unsafe conversion"},
    KindNames{Kind::go_cgo_check, "go_cgo_check", "Go: Go pointer stored into C memory"},
    KindNames{Kind::go_signal_panic, "go_signal_panic", "Go: panic caused by a signal"},
    KindNames{Kind::go_unexpected_fault, "go_unexpected_fault", "Go: unexpected fault address"},
    KindNames{Kind::go_unexpected_signal, "go_unexpected_signal",
              "Go: signal in the runtime or in C code"},
    KindNames{Kind::go_unexpected_return, "go_unexpected_return", "Go: damaged return address"},
    KindNames{Kind::go_fatal_error, "go_fatal_error", "Go: fatal error"},
    KindNames{Kind::go_panic, "go_panic", "Go: panic"},
    KindNames{Kind::libc_abort, "libc_abort", "C library: damage found"},
    KindNames{Kind::signal, "signal", "Killed by a signal"},
    KindNames{Kind::exit_status, "exit_status", "Ended with an error status"},
};

// Linux x86-64, asm/signal.h.
constexpr std::array<std::string_view, 32> kSignals{
    "",          "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
    "SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
    "SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
    "SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS"};

}  // namespace

std::string_view to_string(Kind kind) {
  for (const KindNames& entry : kKinds) {
    if (entry.kind == kind) return entry.name;
  }
  return "unknown";
}

std::string_view title(Kind kind) {
  for (const KindNames& entry : kKinds) {
    if (entry.kind == kind) return entry.title;
  }
  return "Unknown";
}

std::string_view to_string(Role role) {
  switch (role) {
    case Role::bad_pointer:
      return "bad_pointer";
    case Role::fault_address:
      return "fault_address";
    case Role::object:
      return "object";
    case Role::slot:
      return "slot";
    case Role::index:
      return "index";
  }
  return "unknown";
}

std::string_view to_string(StackKind kind) {
  switch (kind) {
    case StackKind::runtime:
      return "runtime";
    case StackKind::goroutine:
      return "goroutine";
    case StackKind::native:
      return "native";
  }
  return "unknown";
}

const Frame* CrashReport::reporting_frame() const {
  if (!reporting || reporting->stack >= stacks.size()) return nullptr;
  const Stack& stack = stacks[reporting->stack];
  return reporting->frame < stack.frames.size() ? &stack.frames[reporting->frame] : nullptr;
}

std::string signal_name(int signal) {
  if (signal > 0 && static_cast<std::size_t>(signal) < kSignals.size()) {
    return std::string(kSignals[static_cast<std::size_t>(signal)]);
  }
  return "signal " + std::to_string(signal);
}

std::optional<int> signal_number(std::string_view name) {
  for (std::size_t i = 1; i < kSignals.size(); ++i) {
    if (kSignals[i] == name) return static_cast<int>(i);
  }
  return std::nullopt;
}

}  // namespace culprit::crash
