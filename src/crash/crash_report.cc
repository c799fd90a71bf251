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
  CrashHint hint;
};

using enum CrashHint;

constexpr std::array kKinds{
    KindNames{Kind::user_named, "user_named", "Named by the user", none},
    KindNames{Kind::go_bad_pointer, "go_bad_pointer", "Go: bad pointer in the heap",
              gc_bad_pointer},
    KindNames{Kind::go_marked_free_object, "go_marked_free_object", "Go: pointer to a freed object",
              gc_freed_object},
    KindNames{Kind::go_bad_stack_pointer, "go_bad_stack_pointer", "Go: bad pointer on a stack",
              gc_bad_pointer},
    KindNames{Kind::go_checkptr, "go_checkptr", "Go: checkptr refused an unsafe conversion",
              bad_argument},
    KindNames{Kind::go_cgo_check, "go_cgo_check", "Go: Go pointer stored into C memory",
              bad_argument},
    KindNames{Kind::go_signal_panic, "go_signal_panic", "Go: panic caused by a signal",
              invalid_access},
    KindNames{Kind::go_unexpected_fault, "go_unexpected_fault", "Go: unexpected fault address",
              invalid_access},
    KindNames{Kind::go_unexpected_signal, "go_unexpected_signal",
              "Go: signal in the runtime or in C code", invalid_access},
    KindNames{Kind::go_concurrent_map, "go_concurrent_map",
              "Go: a map used by two goroutines at once", fatal_error},
    KindNames{Kind::go_unexpected_return, "go_unexpected_return", "Go: damaged return address",
              stack_canary},
    KindNames{Kind::go_fatal_error, "go_fatal_error", "Go: fatal error", fatal_error},
    KindNames{Kind::go_panic, "go_panic", "Go: panic", panic},
    KindNames{Kind::heap_check, "heap_check", "Allocator: damage found", heap_metadata},
    KindNames{Kind::stack_protector, "stack_protector", "Stack protector: damage found",
              stack_canary},
    KindNames{Kind::fortify, "fortify", "C library: overflow prevented", fortify_overflow},
    KindNames{Kind::libc_abort, "libc_abort", "C library: gave up", fatal_error},
    KindNames{Kind::assertion, "assertion", "Assertion failed", CrashHint::assertion},
    KindNames{Kind::cxx_terminate, "cxx_terminate", "C++: std::terminate", terminate},
    KindNames{Kind::cxx_virtual, "cxx_virtual", "C++: virtual function without a body",
              pure_virtual_call},
    KindNames{Kind::address_sanitizer, "address_sanitizer", "AddressSanitizer", none},
    KindNames{Kind::memory_sanitizer, "memory_sanitizer", "MemorySanitizer", uninitialised},
    KindNames{Kind::thread_sanitizer, "thread_sanitizer", "ThreadSanitizer", none},
    KindNames{Kind::undefined_behaviour_sanitizer, "undefined_behaviour_sanitizer",
              "UndefinedBehaviorSanitizer", none},
    KindNames{Kind::valgrind, "valgrind", "Valgrind", none},
    KindNames{Kind::rust_panic, "rust_panic", "Rust: panic", panic},
    KindNames{Kind::rust_abort, "rust_abort", "Rust: abort", fatal_error},
    KindNames{Kind::signal, "signal", "Killed by a signal", none},
    KindNames{Kind::exit_status, "exit_status", "Ended with an error status", none},
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

CrashHint hint_of(Kind kind) {
  for (const KindNames& entry : kKinds) {
    if (entry.kind == kind) return entry.hint;
  }
  return none;
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

std::string_view to_string(StackRole role) {
  switch (role) {
    case StackRole::crash:
      return "crash";
    case StackRole::other_access:
      return "other_access";
    case StackRole::freed:
      return "freed";
    case StackRole::allocated:
      return "allocated";
    case StackRole::stored:
      return "stored";
    case StackRole::created:
      return "created";
    case StackRole::thread_start:
      return "thread_start";
    case StackRole::lock:
      return "lock";
    case StackRole::owner:
      return "owner";
    case StackRole::other:
      return "other";
  }
  return "unknown";
}

std::string_view to_string(AccessKind kind) {
  switch (kind) {
    case AccessKind::unknown:
      return "unknown";
    case AccessKind::read:
      return "read";
    case AccessKind::write:
      return "write";
    case AccessKind::execute:
      return "execute";
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
