#include "crash/signal_text_front_end.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/plain_lines.h"
#include "crash/report_builder.h"

namespace culprit::crash {
namespace {

struct SignalWords {
  std::string_view words;  // as strsignal has them
  int signal;
  CrashHint hint;
};

using enum CrashHint;
constexpr int kSigsegv = 11;
constexpr std::array kWords{
    SignalWords{"Segmentation fault", kSigsegv, invalid_access},
    SignalWords{"Aborted", 6, abort},
    SignalWords{"Bus error", 7, invalid_access},
    SignalWords{"Illegal instruction", 4, illegal_instruction},
    SignalWords{"Floating point exception", 8, arithmetic_trap},
    SignalWords{"Trace/breakpoint trap", 5, trap},
    SignalWords{"Bad system call", 31, fatal_error},
    SignalWords{"Killed", 9, none},
    SignalWords{"Terminated", 15, none},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool starts_with_any_case(std::string_view text, std::string_view words) {
  if (text.size() < words.size()) return false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (lower(text[i]) != lower(words[i])) return false;
  }
  return true;
}

const SignalWords* of_signal(int signal) {
  for (const SignalWords& entry : kWords) {
    if (entry.signal == signal) return &entry;
  }
  return nullptr;
}

// "Segmentation fault (core dumped)": nothing else may stand on the line, since these are common
// words; or "FILE: line 3:  1234 Segmentation fault      (core dumped) ./prog" of bash, or
// "[1]+  Segmentation fault      ./prog".
const SignalWords* of_shell(std::string_view text) {
  std::string_view rest = text;
  bool headed = false;
  if (const std::size_t at = rest.find(": line "); at != std::string_view::npos) {
    std::string_view tail = rest.substr(at + 7);
    if (take_decimal(tail) && take(tail, ":")) {
      tail = trim(tail);
      if (take_decimal(tail)) {
        rest = trim(tail);
        headed = true;
      }
    }
  } else if (rest.starts_with('[')) {
    std::string_view tail = rest.substr(1);
    if (take_decimal(tail) && take(tail, "]")) {
      take(tail, "+") || take(tail, "-");
      tail = trim(tail);
      std::string_view number = tail;
      if (take_decimal(number)) tail = trim(number);  // csh's process
      rest = tail;
      headed = true;
    }
  } else if (take(rest, "zsh: ")) {
    // "zsh: segmentation fault (core dumped)  ./prog"
    for (const SignalWords& entry : kWords) {
      if (starts_with_any_case(rest, entry.words)) return &entry;
    }
    return starts_with_any_case(rest, "abort") ? of_signal(6) : nullptr;
  }
  for (const SignalWords& entry : kWords) {
    if (!rest.starts_with(entry.words)) continue;
    const std::string_view tail = trim(rest.substr(entry.words.size()));
    if (tail.empty() || tail == "(core dumped)") {
      // One word alone is too common.
      return entry.hint == none && !headed && tail.empty() ? nullptr : &entry;
    }
    if (headed) return &entry;
  }
  return nullptr;
}

// fish: "fish: Job 1, './prog' terminated by signal SIGSEGV (Address boundary error)"; gdb:
// "Program received signal SIGSEGV, Segmentation fault." and "Program terminated with signal
// SIGSEGV, …".
std::optional<int> of_named_signal(std::string_view text) {
  for (const std::string_view key :
       {std::string_view(" terminated by signal "), std::string_view(" received signal "),
        std::string_view("Program terminated with signal ")}) {
    const std::size_t at = text.find(key);
    if (at == std::string_view::npos) continue;
    std::string_view name = text.substr(at + key.size());
    std::size_t end = 0;
    while (end < name.size() && ((name[end] >= 'A' && name[end] <= 'Z') || is_digit(name[end]))) {
      ++end;
    }
    return signal_number(name.substr(0, end));
  }
  return std::nullopt;
}

// Hexadecimal without "0x", as the kernel prints it.
std::optional<std::uint64_t> bare_hex_after(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + key.size());
  const std::size_t end = text.find_first_not_of("0123456789abcdef");
  const std::string digits = "0x" + std::string(text.substr(0, std::min<std::size_t>(end, 17)));
  std::string_view rest = digits;
  return take_hex(rest);
}

// "prog[123]: segfault at 8 ip 000055… sp 00007f… error 4 in prog[55…+1000]"
std::optional<CrashReport> of_kernel(std::string_view text, std::uint64_t offset,
                                     const ExitInfo& exit) {
  const std::size_t fault = text.find("]: segfault at ");
  if (fault != std::string_view::npos) {
    const auto address = bare_hex_after(text, "]: segfault at ");
    const auto ip = bare_hex_after(text, " ip ");
    if (!address || !ip) return std::nullopt;
    CrashReport report = begin_report(Kind::signal, *address < 4096 ? null_access : invalid_access,
                                      "signal_text", "none", offset, exit);
    report.signal = kSigsegv;
    report.fault_address = Address{*address};
    report.pc = Address{*ip};
    Access access;
    access.address = Address{*address};
    // Bits of the page fault's error code: 1 a write, 4 an instruction fetch (Intel's manual, 4.7).
    if (const auto error = bare_hex_after(text, " error ")) {
      access.kind = (*error & 0x10) != 0  ? AccessKind::execute
                    : (*error & 0x2) != 0 ? AccessKind::write
                                          : AccessKind::read;
    }
    add_suspect(
        report,
        make_suspect(access.kind == AccessKind::execute && *address == *ip ? Role::bad_pointer
                                                                           : Role::fault_address,
                     *address,
                     *address < 4096 ? "address that was accessed: a null pointer plus an offset"
                                     : "address that was accessed"));
    Stack stack;
    stack.kind = StackKind::native;
    stack.cut = true;
    stack.access = access;
    Frame frame;
    frame.pc = Address{*ip};
    // The module's name is behind " in ", its load address in the brackets.
    if (const std::size_t in = text.rfind(" in "); in != std::string_view::npos) {
      std::string_view module = text.substr(in + 4);
      const std::size_t bracket = module.find('[');
      if (bracket != std::string_view::npos) {
        frame.module = std::string(module.substr(0, bracket));
        const auto base = bare_hex_after(module, "[");
        if (base && *base <= *ip) frame.module_offset = *ip - *base;
      }
    }
    if (const auto sp = bare_hex_after(text, " sp ")) frame.sp = Address{*sp};
    add_frame(report, stack, std::move(frame));
    add_stack(report, std::move(stack));
    return report;
  }
  // "traps: prog[123] general protection fault ip:55… sp:7f… error:0 in prog[55…+1000]"
  const std::size_t traps = text.find("traps: ");
  if (traps == std::string_view::npos) return std::nullopt;
  struct Trap {
    std::string_view words;
    int signal;
    CrashHint hint;
  };
  constexpr std::array kTraps{
      Trap{"] general protection", kSigsegv, invalid_access},
      Trap{"] trap invalid opcode", 4, illegal_instruction},
      Trap{"] trap divide error", 8, division_by_zero},
      Trap{"] trap int3", 5, trap},
      Trap{"] trap stack segment", 7, invalid_access},
  };
  for (const Trap& trap : kTraps) {
    if (text.find(trap.words, traps) == std::string_view::npos) continue;
    CrashReport report = begin_report(Kind::signal, trap.hint, "signal_text", "none", offset, exit);
    report.signal = trap.signal;
    if (const auto ip = bare_hex_after(text, " ip:")) report.pc = Address{*ip};
    return report;
  }
  return std::nullopt;
}

std::vector<CrashReport> parse_signal_text(std::string_view text, const ExitInfo& exit) {
  std::vector<CrashReport> reports;
  // What waitpid said is better than what somebody wrote, except where the program itself is not
  // the one that failed: then there is a status.
  if (exit.signal) return reports;
  PlainLines lines(text);
  for (; reports.size() < kMaxReports; lines.advance()) {
    const PlainLines::Line* line = lines.current();
    if (line == nullptr) break;
    const std::string_view words = trim(line->text);
    if (words.size() < 6) continue;
    std::optional<CrashReport> report;
    if (const SignalWords* found = of_shell(words)) {
      report = begin_report(Kind::signal, found->hint, "signal_text", "none", line->offset, exit);
      report->signal = found->signal;
    } else if (const auto signal = of_named_signal(words)) {
      const SignalWords* entry = of_signal(*signal);
      report = begin_report(Kind::signal, entry == nullptr ? none : entry->hint, "signal_text",
                            "none", line->offset, exit);
      report->signal = *signal;
    } else {
      report = of_kernel(words, line->offset, exit);
    }
    if (!report) continue;
    add_message(*report, words);
    reports.push_back(std::move(*report));
  }
  return reports;
}

}  // namespace

constinit const FrontEnd kSignalTextFrontEnd{"signal_text", &parse_signal_text};

}  // namespace culprit::crash
