#include "crash/rust_front_end.h"

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/native_frame.h"
#include "crash/plain_lines.h"
#include "crash/report_builder.h"

namespace culprit::crash {
namespace {

constexpr std::size_t kMessageLines = 16;  // of a panic's own words

struct Words {
  std::string_view phrase;
  CrashHint hint;
};

using enum CrashHint;
constexpr std::array kWords{
    Words{"index out of bounds: ", bounds},
    Words{"range start index ", bounds},
    Words{"range end index ", bounds},
    Words{"slice index starts at ", bounds},
    Words{"attempted to index ", bounds},
    Words{"byte index ", bounds},
    Words{"start byte index ", bounds},
    Words{"end byte index ", bounds},
    Words{"begin <= end ", bounds},
    Words{"mid > len", bounds},
    Words{"copy_from_slice: source slice length ", bounds},
    Words{"source slice length ", bounds},
    Words{"attempt to divide by zero", division_by_zero},
    Words{"attempt to calculate the remainder with a divisor of zero", division_by_zero},
    Words{"attempt to shift ", invalid_shift},
    Words{"attempt to ", integer_overflow},
    Words{"capacity overflow", bad_allocation},
    Words{"called `Option::unwrap()` on a `None` value", missing_value},
    Words{"called `Result::unwrap", missing_value},
    Words{"assertion failed: ", assertion},
    Words{"assertion `left ", assertion},
    Words{"internal error: entered unreachable code", unreachable_code},
    Words{"not implemented", unreachable_code},
    Words{"not yet implemented", unreachable_code},
    Words{"already borrowed", lock_misuse},
    Words{"already mutably borrowed", lock_misuse},
    Words{"RefCell already ", lock_misuse},
    Words{"misaligned pointer dereference: ", misaligned_access},
    Words{"null pointer dereference occurred", null_access},
    Words{"unsafe precondition(s) violated: ", bad_argument},
    Words{"trying to construct an enum from an invalid value ", invalid_value},
    Words{"panic in a function that cannot unwind", terminate},
    Words{"panic in a destructor during cleanup", terminate},
};

CrashHint hint_of_words(std::string_view words) {
  for (const Words& entry : kWords) {
    if (!words.starts_with(entry.phrase)) continue;
    // The index of get_unchecked and its like.
    if (entry.hint == bad_argument && words.find("index") != std::string_view::npos) return bounds;
    return entry.hint;
  }
  return panic;
}

// The number after `key`.
std::optional<std::uint64_t> decimal_after(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + key.size());
  return take_decimal(text);
}

void add_suspects(CrashReport& report, std::string_view words) {
  const auto index = [&](std::optional<std::uint64_t> value, std::string_view what) {
    if (value) add_suspect(report, make_suspect(Role::index, *value, std::string(what)));
  };
  switch (report.hint) {
    case bounds:
      for (const std::string_view key :
           {std::string_view("but the index is "), std::string_view("range end index "),
            std::string_view("range start index "), std::string_view("slice index starts at "),
            std::string_view("byte index ")}) {
        if (const auto value = decimal_after(words, key)) {
          index(value, "index that was out of bounds");
          break;
        }
      }
      for (const std::string_view key :
           {std::string_view("the len is "), std::string_view("for slice of length "),
            std::string_view("but ends at ")}) {
        if (const auto value = decimal_after(words, key)) {
          index(value, "length that it was checked against");
          break;
        }
      }
      break;
    case misaligned_access:
      if (const auto value = hex_after(words, "but is ")) {
        add_suspect(report, make_suspect(Role::bad_pointer, *value,
                                         "pointer that is not aligned as its type must be"));
      }
      break;
    case null_access:
      add_suspect(report, make_suspect(Role::fault_address, 0, "null pointer"));
      break;
    default:
      break;
  }
}

// The standard library's own frames: the one below is the program's.
bool is_machinery(const Frame& frame) {
  const std::string_view name = frame.function;
  for (const std::string_view start :
       {"rust_begin_unwind", "__rust", "rust_panic", "std::", "core::", "alloc::", "std[", "core[",
        "alloc[", "<std::", "<core::", "<alloc::", "<std[", "<core[", "<alloc[", "<<std", "<<core",
        "_Unwind_", "__rustc["}) {
    if (name.starts_with(start)) return true;
  }
  // "/rustc/HASH/library/core/src/…", "/usr/src/rustc-1.63.0/library/…", "library/core/src/…".
  for (const std::string_view part :
       {"library/core/src/", "library/std/src/", "library/alloc/src/"}) {
    if (frame.file.find(part) != std::string::npos) return true;
  }
  return false;
}

struct Panic {
  std::string thread;
  std::string_view rest;  // behind "panicked at "
};

// "thread 'main' (123) panicked at …"
std::optional<Panic> parse_panic(std::string_view text) {
  if (!take(text, "thread '")) return std::nullopt;
  const std::size_t at = text.find(" panicked at ");
  if (at == std::string_view::npos) return std::nullopt;
  const std::size_t quote = text.substr(0, at).rfind('\'');
  if (quote == std::string_view::npos) return std::nullopt;
  return Panic{clip(text.substr(0, quote), 256), text.substr(at + 13)};
}

class RustReader {
 public:
  RustReader(std::string_view text, const ExitInfo& exit) : lines_(text), exit_(exit) {}

  std::vector<CrashReport> run() {
    while (const PlainLines::Line* line = lines_.current()) {
      if (reports_.size() == kMaxReports) break;
      step(*line);
    }
    close();
    if (reports_.size() > kMaxReports) reports_.resize(kMaxReports);
    return std::move(reports_);
  }

 private:
  void step(const PlainLines::Line& line) {
    const std::size_t at = line.text.find("thread '");
    if (at != std::string_view::npos && parse_panic(line.text.substr(at))) {
      begin_panic(at);
      return;
    }
    const std::string_view text = trim(line.text);
    if (report_) {
      inside(line.text, text);
    } else if (!abort_line(line.text, line.offset)) {
      lines_.advance();
    }
  }

  void begin_panic(std::size_t at) {
    close();
    const std::uint64_t offset = lines_.current()->offset + at;
    lines_.begins_at(at);
    const std::string line(lines_.current()->text);
    const auto parsed = parse_panic(line);
    report_ = begin_report(Kind::rust_panic, panic, "rust", "rust", offset, exit_);
    thread_ = parsed->thread;
    lines_.advance();
    std::string_view rest = parsed->rest;
    if (rest.starts_with('\'')) {
      old_form(line, rest);
    } else {
      // "src/main.rs:2:5:", and the words on the lines that follow. A long path may be folded.
      std::string place(rest);
      for (int i = 0; i < 2 && !place.ends_with(':') && lines_.current() != nullptr; ++i) {
        place += trim(lines_.current()->text);
        lines_.advance();
      }
      add_message(*report_, line);
      if (place.ends_with(':')) place.pop_back();
      parse_place(place, place_);
      read_words();
    }
  }

  // "'MESSAGE', src/main.rs:2:5": the message may have several lines.
  void old_form(std::string_view line, std::string_view rest) {
    std::string text(rest);
    add_message(*report_, line);
    std::size_t lines = 0;
    while (!end_of_old_form(text)) {
      const PlainLines::Line* next = lines_.current();
      if (next == nullptr || ++lines > kMessageLines || text.size() + next->text.size() > 8192 ||
          next->text.starts_with("note: run with ") || next->text.starts_with("stack backtrace:")) {
        report_->truncated = true;
        break;
      }
      add_message(*report_, next->text);
      text.push_back('\n');
      text += next->text;
      lines_.advance();
    }
    std::string_view words = std::string_view(text).substr(1);
    if (const auto end = end_of_old_form(text)) {
      words = words.substr(0, *end - 1);
    }
    what(words);
  }

  // Where the closing quote of "'…', FILE:LINE:COLUMN" is; sets place_.
  std::optional<std::size_t> end_of_old_form(std::string_view text) {
    const std::size_t quote = text.rfind("', ");
    if (quote == std::string_view::npos || quote == 0) return std::nullopt;
    Frame place;
    if (!parse_place(trim(text.substr(quote + 3)), place) || place.column == 0) return std::nullopt;
    place_ = std::move(place);
    return quote;
  }

  void what(std::string_view words) {
    report_->hint = hint_of_words(words);
    add_suspects(*report_, words);
  }

  // The words behind the place, up to the note, the traceback, an empty line, or another panic.
  void read_words() {
    std::string words;
    for (std::size_t i = 0; i < kMessageLines; ++i) {
      const PlainLines::Line* line = lines_.current();
      if (line == nullptr) {
        if (i == 0) report_->truncated = true;
        break;
      }
      if (line->text.starts_with("note: ") || line->text.starts_with("stack backtrace:") ||
          trim(line->text).empty() || parse_panic(line->text) ||
          line->text.starts_with("thread caused non-unwinding panic")) {
        break;
      }
      add_message(*report_, line->text);
      if (!words.empty()) words.push_back(' ');
      words += line->text;
      lines_.advance();
    }
    what(words);
  }

  void inside(std::string_view line, std::string_view text) {
    if (text.starts_with("stack backtrace:")) {
      in_stack_ = true;
    } else if (auto numbered = in_stack_ ? parse_rust_frame(text) : std::nullopt) {
      idle_ = 0;
      if (report_->stacks.empty()) {
        Stack stack;
        stack.kind = StackKind::native;
        stack.thread = thread_;
        add_stack(*report_, std::move(stack));
      }
      Stack& stack = report_->stacks.front();
      if (numbered->number == stack.frames.size()) {
        add_frame(*report_, stack, std::move(numbered->frame));
      } else if (!stack.frames.empty()) {
        stack.cut = true;
        add_frame(*report_, stack, std::move(numbered->frame));
      }
    } else if (in_stack_ && !report_->stacks.empty() && !report_->stacks.front().frames.empty() &&
               report_->stacks.front().frames.back().file.empty() &&
               parse_rust_place(text, report_->stacks.front().frames.back())) {
      idle_ = 0;
    } else if (text.starts_with("thread panicked while ") ||
               text.starts_with("thread caused non-unwinding panic") ||
               text.starts_with("note: ")) {
      idle_ = 0;
    } else if (abort_line(line, lines_.current()->offset)) {
      return;
    } else if (++idle_ > kPatience) {
      close();
    }
    lines_.advance();
  }

  // "fatal runtime error: …", "thread 'main' has overflowed its stack", "memory allocation of 9
  // bytes failed". The reader is moved past it if it is one.
  bool abort_line(std::string_view line, std::uint64_t offset) {
    CrashHint hint = none;
    std::size_t at = 0;
    std::optional<std::uint64_t> size;
    if (at = line.find("fatal runtime error: "); at != std::string_view::npos) {
      hint =
          line.find("stack overflow", at) != std::string_view::npos ? stack_exhausted : fatal_error;
    } else if (at = line.find("memory allocation of "); at != std::string_view::npos) {
      std::string_view rest = line.substr(at + 21);
      size = take_decimal(rest);
      if (!size || !rest.starts_with(" bytes failed")) return false;
      hint = bad_allocation;
    } else if (at = line.find("thread '");
               at != std::string_view::npos && line.ends_with(" has overflowed its stack")) {
      hint = stack_exhausted;
    } else {
      return false;
    }
    const std::string text(line.substr(at));
    const bool second = !report_ && !reports_.empty() && hint == stack_exhausted &&
                        reports_.back().kind == Kind::rust_abort &&
                        reports_.back().hint == stack_exhausted && overflow_open_;
    if (second) {  // the two lines of one stack overflow
      add_message(reports_.back(), text);
      overflow_open_ = false;
    } else {
      close();
      CrashReport report = begin_report(Kind::rust_abort, hint, "rust", "rust", offset + at, exit_);
      add_message(report, text);
      if (size) add_suspect(report, make_suspect(Role::index, *size, "size that was asked for"));
      reports_.push_back(std::move(report));
      overflow_open_ = hint == stack_exhausted && !text.starts_with("fatal");
    }
    lines_.advance();
    return true;
  }

  void close() {
    if (!report_) return;
    overflow_open_ = false;
    if (report_->stacks.empty() && !place_.file.empty()) {
      Stack stack;
      stack.kind = StackKind::native;
      stack.thread = thread_;
      stack.cut = true;
      add_frame(*report_, stack, std::move(place_));
      add_stack(*report_, std::move(stack));
    }
    find_reporting(*report_, is_machinery);
    reports_.push_back(std::move(*report_));
    report_.reset();
    place_ = Frame{};
    in_stack_ = false;
    idle_ = 0;
  }

  PlainLines lines_;
  const ExitInfo& exit_;
  std::optional<CrashReport> report_;
  std::string thread_;
  Frame place_;
  bool in_stack_ = false;
  bool overflow_open_ = false;
  std::size_t idle_ = 0;
  std::vector<CrashReport> reports_;
};

std::vector<CrashReport> parse_rust(std::string_view text, const ExitInfo& exit) {
  // A panic ends the process with a status, by abort(), or in older versions by an
  // instruction that traps.
  // Killed by another signal, the panic was caught, or was another thread's.
  constexpr int kSigill = 4;
  constexpr int kSigtrap = 5;
  constexpr int kSigabrt = 6;
  if (exit.signal && *exit.signal != kSigabrt && *exit.signal != kSigill &&
      *exit.signal != kSigtrap) {
    return {};
  }
  return RustReader(text, exit).run();
}

}  // namespace

constinit const FrontEnd kRustFrontEnd{"rust", &parse_rust};

}  // namespace culprit::crash
