#include "crash/sanitizer_headline.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "crash/text_lines.h"

namespace culprit::crash {
namespace {

using Subject = SanitizerHeadline::Subject;

struct Tool {
  std::string_view name;
  Kind kind;
  std::string_view runtime;
};

// The longer name first: the shorter one is a part of it.
constexpr std::array kTools{
    Tool{"HWAddressSanitizer", Kind::address_sanitizer, "hwasan"},
    Tool{"AddressSanitizer", Kind::address_sanitizer, "asan"},
    Tool{"MemorySanitizer", Kind::memory_sanitizer, "msan"},
    Tool{"ThreadSanitizer", Kind::thread_sanitizer, "tsan"},
    Tool{"UndefinedBehaviorSanitizer", Kind::undefined_behaviour_sanitizer, "ubsan"},
    Tool{"LeakSanitizer", Kind::address_sanitizer, "lsan"},
};

constexpr int kSigill = 4;
constexpr int kSigtrap = 5;
constexpr int kSigabrt = 6;
constexpr int kSigbus = 7;
constexpr int kSigfpe = 8;
constexpr int kSigsegv = 11;

struct Error {
  std::string_view phrase;  // at the beginning of what follows "…Sanitizer: "
  CrashHint hint;
  Subject subject;
  int signal = 0;
};

using enum CrashHint;
constexpr std::array kErrors{
    Error{"heap-use-after-free", use_after_free, Subject::access},
    Error{"heap-buffer-overflow", heap_overflow, Subject::access},
    Error{"heap-buffer-underflow", heap_underflow, Subject::access},
    Error{"stack-buffer-overflow", stack_overflow, Subject::access},
    Error{"stack-buffer-underflow", stack_underflow, Subject::access},
    Error{"dynamic-stack-buffer-overflow", stack_overflow, Subject::access},
    Error{"global-buffer-overflow", global_overflow, Subject::access},
    Error{"stack-use-after-return", use_after_return, Subject::access},
    Error{"stack-use-after-scope", use_after_scope, Subject::access},
    Error{"use-after-poison", use_after_poison, Subject::access},
    Error{"container-overflow", container_overflow, Subject::access},
    Error{"intra-object-overflow", invalid_access, Subject::access},
    Error{"initialization-order-fiasco", uninitialised, Subject::access},
    Error{"unknown-crash", invalid_access, Subject::access},
    Error{"tag-mismatch", invalid_access, Subject::access},
    Error{"stack-overflow on address", stack_exhausted, Subject::access, kSigsegv},
    Error{"attempting double-free", double_free, Subject::pointer},
    Error{"attempting free on address", invalid_free, Subject::pointer},
    Error{"invalid-free", invalid_free, Subject::pointer},
    Error{"attempting to call ", bad_argument, Subject::pointer},
    Error{"alloc-dealloc-mismatch", mismatched_free, Subject::pointer},
    Error{"new-delete-type-mismatch", mismatched_free, Subject::pointer},
    Error{"allocation-tail-overwritten", heap_overflow, Subject::pointer},
    Error{"SEGV on ", invalid_access, Subject::signal, kSigsegv},
    Error{"BUS on ", invalid_access, Subject::signal, kSigbus},
    Error{"FPE on ", arithmetic_trap, Subject::signal, kSigfpe},
    Error{"ILL on ", illegal_instruction, Subject::signal, kSigill},
    Error{"ABRT on ", abort, Subject::signal, kSigabrt},
    Error{"TRAP on ", trap, Subject::signal, kSigtrap},
    Error{"negative-size-param", bad_argument, Subject::size},
    Error{"calloc parameters overflow", bad_allocation, Subject::none},
    Error{"calloc-overflow", bad_allocation, Subject::none},
    Error{"reallocarray parameters overflow", bad_allocation, Subject::none},
    Error{"reallocarray-overflow", bad_allocation, Subject::none},
    Error{"pvalloc parameters overflow", bad_allocation, Subject::none},
    Error{"invalid allocation alignment", bad_allocation, Subject::none},
    Error{"invalid alignment requested", bad_allocation, Subject::none},
    Error{"invalid aligned_alloc", bad_allocation, Subject::none},
    Error{"requested allocation size", bad_allocation, Subject::size},
    Error{"allocator is trying to allocate", bad_allocation, Subject::size},
    Error{"allocator is out of memory trying to allocate", bad_allocation, Subject::size},
    Error{"specified RSS limit exceeded", bad_allocation, Subject::none},
    Error{"bad parameters to __sanitizer_annotate", bad_argument, Subject::none},
    Error{"odr-violation", fatal_error, Subject::none},
    Error{"CHECK failed", fatal_error, Subject::none},
    Error{"nested bug in the same thread", fatal_error, Subject::none},
    Error{"use-of-uninitialized-value", uninitialised, Subject::none},
    Error{"data race", data_race, Subject::none},
    Error{"race on ", data_race, Subject::none},
    Error{"thread leak", none, Subject::none},
    Error{"destroy of a locked mutex", lock_misuse, Subject::none},
    Error{"double lock of a mutex", lock_misuse, Subject::none},
    Error{"use of an invalid mutex", lock_misuse, Subject::none},
    Error{"unlock of an unlocked mutex", lock_misuse, Subject::none},
    Error{"read lock of a write locked mutex", lock_misuse, Subject::none},
    Error{"read unlock of a write locked mutex", lock_misuse, Subject::none},
    Error{"lock-order-inversion", lock_misuse, Subject::none},
    Error{"mutex held in the wrong context", lock_misuse, Subject::none},
    Error{"signal-unsafe call inside of a signal", bad_argument, Subject::none},
    Error{"signal handler spoils errno", bad_argument, Subject::none},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "AddressSanitizer: " or its like at the front.
const Tool* tool_at(std::string_view text) {
  for (const Tool& tool : kTools) {
    if (text.starts_with(tool.name) && text.substr(tool.name.size()).starts_with(": ")) {
      return &tool;
    }
  }
  return nullptr;
}

// The number between "==" and "==" at the front, both taken off.
std::optional<std::uint64_t> take_process(std::string_view& text) {
  std::string_view rest = text;
  if (!take(rest, "==")) return std::nullopt;
  const auto process = take_decimal(rest);
  if (!process || !take(rest, "==")) return std::nullopt;
  text = rest;
  return process;
}

// The first number "0x…" of `text`.
std::optional<std::uint64_t> first_hex(std::string_view text) {
  const std::size_t at = text.find("0x");
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at);
  return take_hex(text);
}

// "T0" of "… in thread T0 (name)", "(pc 0x… T0)", "(thread T0)".
std::string thread_of(std::string_view text) {
  std::size_t at = text.rfind("thread T");
  if (at != std::string_view::npos) {
    at += 7;
  } else {
    at = text.rfind(" T");
    if (at == std::string_view::npos) return {};
    ++at;
  }
  std::size_t end = at + 1;
  while (end < text.size() && is_digit(text[end])) ++end;
  return end > at + 1 ? clip(text.substr(at, end - at), 64) : std::string();
}

void read_size(std::string_view what, SanitizerHeadline& headline) {
  if (const std::size_t at = what.find("(size="); at != std::string_view::npos) {
    std::string_view digits = what.substr(at + 6);
    const bool negative = take(digits, "-");
    const auto value = take_decimal(digits);
    if (value) headline.address = negative ? 0 - *value : *value;
    return;
  }
  headline.address = first_hex(what);
}

}  // namespace

std::optional<std::size_t> find_sanitizer_headline(std::string_view line) {
  constexpr std::string_view kWord = "Sanitizer: ";
  for (std::size_t at = line.find(kWord); at != std::string_view::npos;
       at = line.find(kWord, at + 1)) {
    std::size_t name = at;
    while (name > 0 && std::isalpha(static_cast<unsigned char>(line[name - 1])) != 0) --name;
    if (tool_at(line.substr(name)) == nullptr) continue;
    std::size_t begin = name;
    const std::string_view before = line.substr(0, name);
    bool stated = false;
    for (const std::string_view word :
         {std::string_view("ERROR: "), std::string_view("WARNING: ")}) {
      if (before.ends_with(word)) {
        begin = name - word.size();
        stated = true;
      }
    }
    // "==123==" in front of it.
    std::size_t process = begin;
    if (line.substr(0, process).ends_with("==")) {
      process -= 2;
      while (process > 0 && is_digit(line[process - 1])) --process;
      if (process >= 2 && line.substr(process - 2, 2) == "==" && is_digit(line[process])) {
        begin = process - 2;
      }
    }
    if (!stated &&
        !line.substr(name).substr(at - name + kWord.size()).starts_with("CHECK failed")) {
      continue;  // "SUMMARY: AddressSanitizer: …", "AddressSanitizer: while reporting …"
    }
    return begin;
  }
  return std::nullopt;
}

bool is_leak_headline(std::string_view headline) {
  return headline.find("LeakSanitizer: ") != std::string_view::npos &&
         headline.find("LeakSanitizer: SEGV") == std::string_view::npos;
}

bool is_open_headline(std::string_view headline) {
  if (headline.find(" on address 0x") != std::string_view::npos &&
      headline.find(" (pc ") == std::string_view::npos) {
    return headline.find(" sp 0x") == std::string_view::npos &&
           headline.find("in thread") == std::string_view::npos;
  }
  if (std::count(headline.begin(), headline.end(), '(') >
      std::count(headline.begin(), headline.end(), ')')) {
    return true;
  }
  for (const std::string_view end : {" on", " on address", " on unknown address", " not",
                                     " was not", " malloc()-ed:", " in", " in thread"}) {
    if (headline.ends_with(end)) return true;
  }
  return false;
}

SanitizerHeadline parse_sanitizer_headline(std::string_view headline) {
  SanitizerHeadline parsed;
  headline = trim(headline);
  parsed.process = take_process(headline);
  if (!take(headline, "ERROR: ")) take(headline, "WARNING: ");
  const Tool* tool = tool_at(headline);
  if (tool == nullptr) return parsed;
  parsed.kind = tool->kind;
  parsed.runtime = tool->runtime;
  parsed.hint = hint_of(tool->kind);
  const std::string_view what = headline.substr(tool->name.size() + 2);
  const auto* error = std::find_if(kErrors.begin(), kErrors.end(),
                                   [&](const Error& e) { return what.starts_with(e.phrase); });
  if (error != kErrors.end()) {
    parsed.hint = error->hint;
    parsed.subject = error->subject;
    if (error->signal != 0) parsed.signal = error->signal;
  } else if (what.find("-param-overlap") != std::string_view::npos) {
    parsed.hint = bad_argument;
    parsed.subject = Subject::ranges;
  }
  // TSan's "(pid=123)".
  if (!parsed.process) {
    if (const std::size_t at = what.find("(pid="); at != std::string_view::npos) {
      std::string_view digits = what.substr(at + 5);
      parsed.process = take_decimal(digits);
    }
  }
  parsed.pc = hex_after(what, "pc ");
  parsed.thread = thread_of(what);
  switch (parsed.subject) {
    case Subject::access:
    case Subject::pointer:
      parsed.address = first_hex(what);
      break;
    case Subject::size:
      read_size(what, parsed);
      break;
    case Subject::ranges:
      parsed.address = hex_after(what, "ranges [");
      parsed.second = hex_after(what, "and [");
      break;
    case Subject::signal:
      // "unknown address (pc …" where the kernel did not know it.
      parsed.address = hex_after(what, "unknown address ");
      break;
    case Subject::none:
      break;
  }
  // TSan prints no address here.
  if (parsed.kind == Kind::thread_sanitizer && parsed.subject == Subject::access) {
    parsed.address.reset();
  }
  return parsed;
}

}  // namespace culprit::crash
