#include "crash/libc_front_end.h"

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/glibc_messages.h"
#include "crash/native_frame.h"
#include "crash/plain_lines.h"
#include "crash/report_builder.h"

namespace culprit::crash {
namespace {

constexpr int kAbort = 6;
// "======= Memory map: ========" and the map behind it can be long, the traceback is not.
constexpr std::size_t kTraceLines = 300;

struct Starred {
  std::string_view phrase;
  Kind kind;
  CrashHint hint;
};

using enum CrashHint;
// All that is given to __fortify_fail, and the fatal errors of the same form.
constexpr std::array kStarred{
    Starred{"*** stack smashing detected ***", Kind::stack_protector, stack_canary},
    Starred{"*** buffer overflow detected ***", Kind::fortify, fortify_overflow},
    Starred{"*** bit out of range 0 - FD_SETSIZE on fd_set ***", Kind::fortify, bounds},
    Starred{"*** longjmp causes uninitialized stack frame ***", Kind::fortify, bad_argument},
    Starred{"*** %n in writable segment detected ***", Kind::fortify, bad_argument},
    Starred{"*** invalid %N$ use detected ***", Kind::fortify, bad_argument},
    Starred{"*** invalid open call: O_CREAT or O_TMPFILE without mode ***", Kind::fortify,
            bad_argument},
    Starred{"*** invalid openat call: O_CREAT or O_TMPFILE without mode ***", Kind::fortify,
            bad_argument},
    Starred{"*** invalid open64 call: O_CREAT or O_TMPFILE without mode ***", Kind::fortify,
            bad_argument},
    Starred{"*** invalid openat64 call: O_CREAT or O_TMPFILE without mode ***", Kind::fortify,
            bad_argument},
};

// "*** Error in `./a.out': double free or corruption (out): 0x0000000001b6e010 ***" (to glibc 2.25)
// and before 2.14 "*** glibc detected *** ./a.out: …" hold the pointer that was given to free.
struct OldMessage {
  std::string_view words;
  std::uint64_t pointer = 0;
};

std::optional<OldMessage> parse_old(std::string_view text) {
  if (!text.ends_with(" ***")) return std::nullopt;
  text.remove_suffix(4);
  std::size_t words = 0;
  if (text.starts_with("*** Error in `")) {
    words = text.find("': ");
    if (words == std::string_view::npos) return std::nullopt;
    words += 3;
  } else if (text.starts_with("*** glibc detected *** ")) {
    words = text.find(": ");
    if (words == std::string_view::npos) return std::nullopt;
    words += 2;
  } else {
    return std::nullopt;
  }
  const std::size_t at = text.rfind(": 0x");
  if (at == std::string_view::npos || at < words) return std::nullopt;
  std::string_view rest = text.substr(at + 2);
  const auto pointer = take_hex(rest);
  if (!pointer || !rest.empty()) return std::nullopt;
  return OldMessage{text.substr(words, at - words), *pointer};
}

// "prog: file.c:12: func: Assertion `x' failed." The program's name and the function may be
// missing; libstdc++'s assertions have other quotes (cxx_front_end.h).
struct Assertion {
  Frame frame;
  std::string_view expression;
};

std::optional<Assertion> parse_assertion(std::string_view text) {
  constexpr std::string_view kOpen = "Assertion `";
  constexpr std::string_view kClose = "' failed.";
  const std::size_t at = text.find(kOpen);
  if (at == std::string_view::npos || at == 0 || !text.ends_with(kClose) ||
      text.size() < at + kOpen.size() + kClose.size()) {
    return std::nullopt;
  }
  Assertion assertion;
  assertion.expression =
      text.substr(at + kOpen.size(), text.size() - at - kOpen.size() - kClose.size());
  // "[prog: ]file:line: [func: ]". The name of the program may hold ": ", a number behind it not.
  std::string_view head = text.substr(0, at);
  for (std::size_t colon = head.find(": "); colon != std::string_view::npos;
       colon = head.find(": ", colon + 1)) {
    Frame place;
    if (!parse_place(head.substr(0, colon), place) || place.column != 0) continue;
    if (const std::size_t program = place.file.rfind(": "); program != std::string::npos) {
      place.file = place.file.substr(program + 2);
    }
    assertion.frame = std::move(place);
    head.remove_prefix(colon + 2);
    while (head.ends_with(' ') || head.ends_with(':')) head.remove_suffix(1);
    assertion.frame.function = std::string(head);
    return assertion;
  }
  return std::nullopt;
}

// The allocator checks itself with assert(), too.
bool is_of_malloc(const Frame& frame) {
  return frame.file.ends_with("malloc.c") || frame.file.ends_with("arena.c") ||
         frame.function == "sysmalloc" || frame.function == "_int_malloc" ||
         frame.function == "_int_free" || frame.function == "__libc_malloc";
}

class LibcReader {
 public:
  LibcReader(std::string_view text, const ExitInfo& exit) : lines_(text), exit_(exit) {}

  std::vector<CrashReport> run() {
    while (const PlainLines::Line* line = lines_.current()) {
      if (reports_.size() == kMaxReports) break;
      step(*line);
    }
    return std::move(reports_);
  }

 private:
  CrashReport& add(Kind kind, CrashHint hint, std::string_view text, std::uint64_t offset) {
    reports_.push_back(begin_report(kind, hint, "libc", "glibc", offset, exit_));
    add_message(reports_.back(), text);
    tracing_ = false;
    return reports_.back();
  }

  static bool is_open_assertion(std::string_view text) {
    return text.find(": Assertion `") != std::string_view::npos && !text.ends_with("' failed.");
  }

  void step(const PlainLines::Line& line) {
    const std::string_view text = trim(line.text);
    if (tracing_ && trace(text)) {
      lines_.advance();
      return;
    }
    if (text.starts_with("======= Backtrace: =")) {
      tracing_ = !reports_.empty();
      trace_lines_ = 0;
    } else if (const std::size_t at = line.text.find("*** "); at != std::string_view::npos) {
      const std::uint64_t offset = line.offset + at;
      starred(trim(line.text.substr(at)), offset);
    } else if (is_open_assertion(line.text)) {
      const std::uint64_t offset = line.offset;
      const std::string joined =
          lines_.unfold(is_open_assertion, [](std::string_view) { return false; });
      assertion(trim(joined), offset);
      return;
    } else if (!assertion(text, line.offset) && !folded_assertion(text)) {
      plain_message(text, line);
      recent_.push(line);
      lines_.advance();
      return;
    }
    recent_.clear();
    lines_.advance();
  }

  // Of which this line is the end.
  bool folded_assertion(std::string_view text) {
    if (!text.ends_with("' failed.")) return false;
    for (std::size_t count = 1; count <= RecentLines::kLines; ++count) {
      const auto before = recent_.last(count);
      if (!before) return false;
      if (assertion(before->text + " " + std::string(text), before->offset)) return true;
    }
    return false;
  }

  void starred(std::string_view text, std::uint64_t offset) {
    for (const Starred& starred : kStarred) {
      if (!text.starts_with(starred.phrase)) continue;
      add(starred.kind, starred.hint, text, offset);
      return;
    }
    const auto old = parse_old(text);
    if (!old) return;
    CrashReport& report = add(
        Kind::heap_check, hint_of_malloc_message(old->words).value_or(heap_metadata), text, offset);
    add_suspect(report, make_suspect(Role::bad_pointer, old->pointer,
                                     "pointer that was given to the allocator"));
  }

  bool assertion(std::string_view text, std::uint64_t offset) {
    auto parsed = parse_assertion(text);
    if (!parsed) return false;
    const bool of_malloc = is_of_malloc(parsed->frame);
    CrashReport& report = add(of_malloc ? Kind::heap_check : Kind::assertion,
                              of_malloc ? heap_metadata : CrashHint::assertion, text, offset);
    Stack stack;
    stack.kind = StackKind::native;
    stack.cut = true;
    add_frame(report, stack, std::move(parsed->frame));
    add_stack(report, std::move(stack));
    report.reporting = FrameRef{0, 0};
    return true;
  }

  // A line that is nothing but the message; a log collector may have put something before it.
  void plain_message(std::string_view text, const PlainLines::Line& line) {
    const auto offset_of = [&](std::string_view part) {
      return line.offset + static_cast<std::uint64_t>(part.data() - line.text.data());
    };
    if (const std::size_t at = text.find("Fatal glibc error: "); at != std::string_view::npos) {
      text.remove_prefix(at);
      const bool of_malloc = text.find("malloc assertion failure in ") != std::string_view::npos;
      add(of_malloc ? Kind::heap_check : Kind::libc_abort, of_malloc ? heap_metadata : fatal_error,
          text, offset_of(text));
      return;
    }
    if (text.find("Fatal error: glibc detected an invalid stdio handle") !=
        std::string_view::npos) {
      add(Kind::libc_abort, bad_argument, text, offset_of(text));
      return;
    }
    std::optional<CrashHint> hint = hint_of_malloc_message(text);
    // "2026-01-01T00:00:00 host app[12]: free(): invalid pointer". The message itself may hold ":
    // ".
    for (std::size_t at = text.find(": "), tries = 0;
         !hint && at != std::string_view::npos && at < PlainLines::kMaxPrefix && tries < 6;
         at = text.find(": ", at + 1), ++tries) {
      hint = hint_of_malloc_message(text.substr(at + 2));
      if (hint) text.remove_prefix(at + 2);
    }
    // What a newer or older library says. Only if it did abort: these may be anybody's words.
    if (!hint && exit_.signal == kAbort && looks_like_malloc_message(text)) hint = heap_metadata;
    if (hint) add(Kind::heap_check, *hint, text, offset_of(text));
  }

  // glibc to 2.25 printed a traceback, and libSegFault does.
  bool trace(std::string_view text) {
    if (++trace_lines_ > kTraceLines || text.starts_with("======= Memory map")) {
      tracing_ = false;
      return true;
    }
    auto frame = parse_glibc_frame(text);
    if (!frame) return false;
    CrashReport& report = reports_.back();
    if (report.stacks.empty()) {
      Stack stack;
      stack.kind = StackKind::native;
      add_stack(report, std::move(stack));
    }
    add_frame(report, report.stacks.back(), std::move(*frame));
    if (!report.reporting) {
      find_reporting(report, [](const Frame& f) {
        return f.module.find("/libc.so") != std::string::npos ||
               f.module.find("/libc-2.") != std::string::npos;
      });
    }
    return true;
  }

  PlainLines lines_;
  const ExitInfo& exit_;
  std::vector<CrashReport> reports_;
  RecentLines recent_;
  bool tracing_ = false;
  std::size_t trace_lines_ = 0;
};

std::vector<CrashReport> parse_libc(std::string_view text, const ExitInfo& exit) {
  // These words end a program by SIGABRT (or are then only words).
  if (exit.signal && *exit.signal != kAbort) return {};
  return LibcReader(text, exit).run();
}

}  // namespace

constinit const FrontEnd kLibcFrontEnd{"libc", &parse_libc};

}  // namespace culprit::crash
