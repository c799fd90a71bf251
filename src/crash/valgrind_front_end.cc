#include "crash/valgrind_front_end.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/native_frame.h"
#include "crash/plain_lines.h"
#include "crash/report_builder.h"

namespace culprit::crash {
namespace {

constexpr std::size_t kMaxProcesses = 8;  // whose reports are read at the same time

struct Error {
  std::string_view phrase;  // at the beginning
  CrashHint hint;
  AccessKind access = AccessKind::unknown;
};

using enum CrashHint;
constexpr std::array kErrors{
    Error{"Invalid read of size ", invalid_access, AccessKind::read},
    Error{"Invalid write of size ", invalid_access, AccessKind::write},
    Error{"Jump to the invalid address stated on the next line", invalid_access,
          AccessKind::execute},
    Error{"Conditional jump or move depends on uninitialised value(s)", uninitialised},
    Error{"Use of uninitialised value of size ", uninitialised},
    Error{"Invalid free() / delete / delete[] / realloc()", invalid_free},
    Error{"Mismatched free() / delete / delete []", mismatched_free},
    Error{"Mismatched new/delete size", mismatched_free},
    Error{"Syscall param ", uninitialised},
    Error{"Source and destination overlap in ", bad_argument},
    Error{"Argument '", bad_argument},
    Error{"Illegal memory pool address", invalid_free},
    Error{"Uninitialised byte(s) found during client check request", uninitialised},
    Error{"Unaddressable byte(s) found during client check request", invalid_access},
    Error{"Process terminating with default action of signal ", none},
    Error{"Process terminating with default action of signal", none},
};

const Error* error_of(std::string_view text) {
  const auto* found = std::find_if(kErrors.begin(), kErrors.end(),
                                   [&](const Error& e) { return text.starts_with(e.phrase); });
  return found == kErrors.end() ? nullptr : found;
}

// Valgrind's replacements of the allocator and the string functions.
bool is_machinery(const Frame& frame) {
  return is_abort_frame(frame) || frame.module.find("/vgpreload_") != std::string::npos ||
         frame.file.starts_with("vg_replace_") || frame.file.starts_with("mc_replace_");
}

// "==123== " or "==123==" or "**123** " at the front, taken off.
std::optional<std::uint64_t> take_process(std::string_view& text) {
  std::string_view rest = text;
  for (const std::string_view mark : {std::string_view("=="), std::string_view("**")}) {
    if (!take(rest, mark)) continue;
    const auto process = take_decimal(rest);
    if (!process || !take(rest, mark)) return std::nullopt;
    // A sanitizer's "==123==ERROR: …" has no blank.
    if (!rest.empty() && !take(rest, " ")) return std::nullopt;
    text = rest;
    return process;
  }
  return std::nullopt;
}

// Decimal with thousands separators: "4,096".
std::optional<std::uint64_t> take_grouped(std::string_view& text) {
  std::string digits;
  std::size_t i = 0;
  for (; i < text.size() && i < 27; ++i) {
    if (text[i] >= '0' && text[i] <= '9') {
      digits.push_back(text[i]);
    } else if (text[i] != ',' || i + 1 == text.size() || text[i + 1] < '0' || text[i + 1] > '9') {
      break;
    }
  }
  std::string_view rest = digits;
  const auto value = take_decimal(rest);
  if (value) text.remove_prefix(i);
  return value;
}

struct Draft {
  CrashReport report;
  AccessKind access = AccessKind::unknown;
  std::optional<std::uint64_t> size;
  StackRole role = StackRole::crash;  // of the next stack
  std::optional<std::size_t> stack;   // that is being read: its index
  bool named = false;                 // an address line was read
  bool terminating = false;
  std::string thread;
};

struct Process {
  std::optional<Draft> draft;
  std::string thread;  // that the next report is about, if there are several
};

class ValgrindReader {
 public:
  ValgrindReader(std::string_view text, const ExitInfo& exit) : lines_(text), exit_(exit) {}

  std::vector<CrashReport> run() {
    while (const PlainLines::Line* line = lines_.current()) {
      if (reports_.size() >= kMaxReports) break;
      step(*line);
    }
    for (auto& [number, process] : processes_) {
      if (!process.draft) continue;
      process.draft->report.truncated = true;  // not even the empty line that ends each report
      finish(process);
    }
    std::stable_sort(reports_.begin(), reports_.end(),
                     [](const auto& a, const auto& b) { return a.offset < b.offset; });
    if (reports_.size() > kMaxReports) reports_.resize(kMaxReports);
    return std::move(reports_);
  }

 private:
  static bool is_open(std::string_view text) {
    std::string_view rest = text;
    if (!take_process(rest)) return false;
    rest = trim(rest);
    if (take(rest, "at 0x") || take(rest, "by 0x")) {
      return rest.find(": ") == std::string_view::npos ||
             (rest.find(" (") != std::string_view::npos && !rest.ends_with(')'));
    }
    if (take(rest, "Address 0x")) {
      return rest.find(" is ") == std::string_view::npos ||
             (rest.find(" a block of size ") == std::string_view::npos &&
              (rest.ends_with(" a") || rest.ends_with(" block") || rest.ends_with(" of") ||
               rest.ends_with(" inside") || rest.ends_with(" size")));
    }
    return false;
  }

  static bool begins_own_line(std::string_view text) {
    return text.starts_with("==") || text.starts_with("**") || text.starts_with("--");
  }

  void step(const PlainLines::Line& line) {
    // "==123== " may stand behind something that a log collector wrote, or other output.
    std::size_t at = 0;
    std::string_view text = line.text;
    if (!take_process(text)) {
      at = line.text.substr(0, PlainLines::kMaxPrefix).find("==");
      if (at == std::string_view::npos) return lines_.advance();
      text = line.text.substr(at);
      if (!take_process(text)) return lines_.advance();
    }
    const std::uint64_t offset = line.offset + at;
    lines_.begins_at(at);
    const std::string joined = lines_.unfold(is_open, begins_own_line);
    text = joined;
    const auto process = take_process(text);
    if (process) message(*process, text, offset);
  }

  void message(std::uint64_t number, std::string_view indented, std::uint64_t offset) {
    const std::string_view text = trim(indented);
    auto found = processes_.find(number);
    if (found != processes_.end() && found->second.draft) {
      Draft& draft = *found->second.draft;
      if (text.empty()) {  // the end of the report
        finish(found->second);
        return;
      }
      if (frame(draft, text) || detail(draft, text) || error_of(text) == nullptr) return;
      finish(found->second);
    }
    const Error* error = error_of(text);
    const bool thread = text.starts_with("Thread ") && text.ends_with(':');
    if (error == nullptr && !thread) return;
    if (found == processes_.end()) {
      if (processes_.size() == kMaxProcesses) {
        std::erase_if(processes_, [](const auto& entry) { return !entry.second.draft; });
        if (processes_.size() == kMaxProcesses) return;
      }
      found = processes_.try_emplace(number).first;
    }
    Process& process = found->second;
    if (thread) {
      process.thread = clip(text.substr(7, text.size() - 8), 64);
      return;
    }
    process.draft.emplace();
    process.draft->thread = process.thread;
    begin(*process.draft, *error, text, offset);
  }

  void begin(Draft& draft, const Error& error, std::string_view text, std::uint64_t offset) {
    draft.report = begin_report(Kind::valgrind, error.hint, "valgrind", "valgrind", offset, exit_);
    CrashReport& report = draft.report;
    add_message(report, text);
    draft.access = error.access;
    std::string_view rest = text;
    if (const std::size_t at = rest.find(" of size "); at != std::string_view::npos) {
      rest.remove_prefix(at + 9);
      draft.size = take_grouped(rest);
    }
    if (text.starts_with("Syscall param ") &&
        text.find("unaddressable") != std::string_view::npos) {
      report.hint = invalid_access;
    }
    if (text.starts_with("Argument '")) {
      // "Argument 'size' of function malloc has a fishy (possibly negative) value: -4"
      rest = text;
      const std::size_t at = rest.rfind(": ");
      if (at != std::string_view::npos) {
        rest.remove_prefix(at + 2);
        const bool negative = take(rest, "-");
        if (const auto value = take_grouped(rest)) {
          add_suspect(report, make_suspect(Role::index, negative ? 0 - *value : *value,
                                           "argument of the allocator"));
        }
      }
    }
    if (text.starts_with("Source and destination overlap in ")) overlap(report, text);
    if (text.starts_with("Process terminating")) {
      draft.terminating = true;
      rest = text;
      rest.remove_prefix(std::min(rest.size(), rest.find(" signal") + 7));
      rest = trim(rest);
      if (const auto number = take_decimal(rest); number && *number < 65) {
        report.signal = static_cast<int>(*number);
        report.hint = *number == 6   ? abort
                      : *number == 8 ? arithmetic_trap
                      : *number == 4 ? illegal_instruction
                      : *number == 5 ? trap
                                     : invalid_access;
      }
    }
  }

  // "Source and destination overlap in memcpy(0x…, 0x…, 8)"
  static void overlap(CrashReport& report, std::string_view text) {
    text.remove_prefix(std::min(text.size(), text.find('(')));
    take(text, "(");
    const auto destination = take_hex(text);
    if (!destination) return;
    add_suspect(report, make_suspect(Role::bad_pointer, *destination, "destination of the copy"));
    if (!take(text, ", ")) return;
    if (const auto source = take_hex(text)) {
      add_suspect(report, make_suspect(Role::bad_pointer, *source, "source of the copy"));
    }
  }

  bool frame(Draft& draft, std::string_view text) {
    auto frame = parse_valgrind_frame(text);
    if (!frame) return false;
    if (!draft.stack || text.starts_with("at ")) {
      Stack stack;
      stack.kind = StackKind::native;
      stack.role = draft.role;
      stack.cut = !text.starts_with("at ");
      if (draft.role == StackRole::crash) {
        if (draft.access != AccessKind::unknown) {
          stack.access = Access{draft.access, draft.size, std::nullopt, false};
        }
        stack.thread = draft.thread;
      }
      draft.stack.reset();
      if (add_stack(draft.report, std::move(stack)) != nullptr) {
        draft.stack = draft.report.stacks.size() - 1;
      }
      draft.role = StackRole::other;
    }
    if (draft.stack) add_frame(draft.report, draft.report.stacks[*draft.stack], std::move(*frame));
    return true;
  }

  bool detail(Draft& draft, std::string_view text) {
    CrashReport& report = draft.report;
    if (text.starts_with("Address 0x")) {
      add_message(report, text);
      address(draft, text);
      return true;
    }
    if (text.starts_with("Block was alloc'd at")) {
      draft.role = StackRole::allocated;
      draft.stack.reset();
      return true;
    }
    if (text.starts_with("Uninitialised value was created by ")) {
      add_message(report, text);
      draft.role = StackRole::created;
      draft.stack.reset();
      return true;
    }
    if (text.starts_with("in frame #") || text.find(" bytes below stack pointer") < 24) {
      add_message(report, text);
      if (text.ends_with(" below stack pointer") && report.hint == invalid_access) {
        report.hint = use_after_return;
      }
      return true;
    }
    return draft.terminating && termination(draft, text);
  }

  // What is said after "Process terminating with default action of signal 11 (SIGSEGV)".
  static bool termination(Draft& draft, std::string_view text) {
    CrashReport& report = draft.report;
    if (text.starts_with("General Protection Fault") ||
        text.starts_with("Illegal opcode at address") ||
        text.starts_with("Integer divide by zero")) {
      if (text.starts_with("Integer")) report.hint = division_by_zero;
      add_message(report, text);
      return true;
    }
    std::optional<std::uint64_t> value;
    for (const std::string_view words :
         {std::string_view("Access not within mapped region at address "),
          std::string_view("Bad permissions for mapped region at address "),
          std::string_view("Jump to the invalid address "),
          std::string_view("Non-existent physical "
                           "address at address "),
          std::string_view("Invalid address alignment at address ")}) {
      if (text.starts_with(words)) value = hex_after(text, words);
    }
    if (!value) return false;
    add_message(report, text);
    report.fault_address = Address{*value};
    if (*value < 4096) report.hint = null_access;
    add_suspect(
        report,
        make_suspect(Role::fault_address, *value,
                     *value < 4096 ? "address that was accessed: a null pointer plus an offset"
                                   : "address that was accessed"));
    return true;
  }

  // "Address 0x4a41044 is 4 bytes inside a block of size 16 free'd"
  static void address(Draft& draft, std::string_view text) {
    CrashReport& report = draft.report;
    take(text, "Address ");
    const auto value = take_hex(text);
    if (!value || draft.named) return;
    draft.named = true;
    for (Stack& stack : report.stacks) {
      if (stack.access && !stack.access->address) stack.access->address = Address{*value};
    }
    const bool freeing = report.hint == invalid_free || report.hint == mismatched_free;
    Suspect suspect;
    suspect.role =
        freeing || draft.access == AccessKind::execute ? Role::bad_pointer : Role::fault_address;
    suspect.value = *value;
    suspect.description = freeing ? "pointer that was given to the allocator"
                          : draft.access == AccessKind::execute ? "address that was jumped to"
                                                                : "address that was accessed";
    std::optional<Suspect> object;
    take(text, " is ");
    const auto distance = take_grouped(text);
    const bool inside = distance && take(text, " bytes inside ");
    const bool after = distance && !inside && take(text, " bytes after ");
    const bool before = distance && !inside && !after && take(text, " bytes before ");
    const bool recently_freed = text.find(" free'd") != std::string_view::npos;
    if ((inside || after || before) &&
        (take(text, "a block of size ") || take(text, "an unallocated block of size ") ||
         take(text, "a recently re-allocated block of size "))) {
      const auto size = take_grouped(text);
      if (size) {
        const std::uint64_t start = inside  ? *value - *distance
                                    : after ? *value - *distance - *size
                                            : *value + *distance;
        object = make_suspect(Role::object, start,
                              "heap block of " + std::to_string(*size) +
                                  " bytes that the address " + (inside ? "lies in" : "belongs to"));
        object->certainty = Certainty::inferred;
        object->span = ByteRange{Address{start}, *size};
        if (!before) object->offset = *value - start;
        if (inside) suspect.span = object->span;
        draft.role = recently_freed ? StackRole::freed : StackRole::allocated;
        draft.stack.reset();
        if (report.hint == invalid_access) {
          report.hint = recently_freed ? use_after_free
                        : after        ? heap_overflow
                        : before       ? heap_underflow
                                       : invalid_access;
        }
      }
    }
    if (report.hint == invalid_free && recently_freed && distance == 0U && inside) {
      report.hint = double_free;
    }
    if (report.hint == invalid_access && *value < 4096) report.hint = null_access;
    if (report.hint != uninitialised) {
      add_suspect(report, std::move(suspect));
    } else {
      Suspect slot;
      slot.role = Role::slot;
      slot.slot = Address{*value};
      slot.description = "first byte that was never written";
      add_suspect(report, std::move(slot));
    }
    if (object) add_suspect(report, std::move(*object));
  }

  void finish(Process& process) {
    find_reporting(process.draft->report, is_machinery);
    reports_.push_back(std::move(process.draft->report));
    process.draft.reset();
  }

  PlainLines lines_;
  const ExitInfo& exit_;
  std::map<std::uint64_t, Process> processes_;  // by number
  std::vector<CrashReport> reports_;
};

std::vector<CrashReport> parse_valgrind(std::string_view text, const ExitInfo& exit) {
  return ValgrindReader(text, exit).run();
}

}  // namespace

constinit const FrontEnd kValgrindFrontEnd{"valgrind", &parse_valgrind};

}  // namespace culprit::crash
