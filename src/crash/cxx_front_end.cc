#include "crash/cxx_front_end.h"

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

constexpr int kAbort = 6;
constexpr std::size_t kDebugLines = 64;  // of a report of libstdc++'s debug mode

using enum CrashHint;

// What an expression of a library's assertion is about.
CrashHint hint_of_expression(std::string_view text) {
  struct Words {
    std::string_view part;
    CrashHint hint;
  };
  constexpr std::array kWords{
      Words{"!this->empty()", bounds},
      Words{"!empty()", bounds},
      Words{"size()", bounds},
      Words{"length()", bounds},
      Words{"__n < ", bounds},
      Words{"__pos ", bounds},
      Words{"__idx ", bounds},
      Words{"!= pointer()", null_access},
      Words{"!= nullptr", null_access},
      Words{"has_value()", missing_value},
      Words{"_M_is_engaged()", missing_value},
      Words{"_M_engaged", missing_value},
  };
  for (const Words& words : kWords) {
    if (text.find(words.part) != std::string_view::npos) return words.hint;
  }
  return CrashHint::assertion;
}

// "Error: attempt to …" of the debug mode.
CrashHint hint_of_debug_error(std::string_view text) {
  struct Words {
    std::string_view part;
    CrashHint hint;
  };
  constexpr std::array kWords{
      Words{"out-of-bounds index", bounds},
      Words{"empty container", bounds},
      Words{"iterator", invalid_iterator},
      Words{"a different container", invalid_iterator},
      Words{"irreflexive", bad_argument},
      Words{"not sorted", bad_argument},
      Words{"not partitioned", bad_argument},
      Words{"not a heap", bad_argument},
      Words{"string", bounds},
  };
  for (const Words& words : kWords) {
    if (text.find(words.part) != std::string_view::npos) return words.hint;
  }
  return CrashHint::assertion;
}

// "FILE:LINE: …: Assertion 'x' failed." of libstdc++, and the forms that libc++ has had:
//   FILE:LINE: _LIBCPP_ASSERT 'x' failed. MESSAGE          (14)
//   FILE:LINE: libc++ assertion 'x' failed. MESSAGE        (15)
//   FILE:LINE: assertion x failed: MESSAGE                 (16, 17)
//   FILE:LINE: libc++ Hardening assertion x failed: MESSAGE (18 on)
struct LibraryAssertion {
  Frame frame;
  std::string_view runtime;
  std::string_view expression;
};

std::optional<LibraryAssertion> parse_library_assertion(std::string_view text) {
  struct Form {
    std::string_view open;
    std::string_view close;
    std::string_view runtime;
  };
  constexpr std::array kForms{
      Form{": Assertion '", "' failed.", "libstdc++"},
      Form{": _LIBCPP_ASSERT '", "' failed.", "libc++"},
      Form{": libc++ assertion '", "' failed.", "libc++"},
      Form{": libc++ Hardening assertion ", " failed: ", "libc++"},
      Form{": assertion ", " failed: ", "libc++"},
  };
  for (const Form& form : kForms) {
    const std::size_t open = text.find(form.open);
    if (open == std::string_view::npos) continue;
    const std::size_t begin = open + form.open.size();
    const std::size_t close = text.find(form.close, begin);
    if (close == std::string_view::npos) continue;
    LibraryAssertion found;
    found.runtime = form.runtime;
    found.expression = text.substr(begin, close - begin);
    std::string_view head = text.substr(0, open);
    if (form.runtime == "libstdc++") {  // "FILE:LINE: FUNCTION"
      const std::size_t colon = head.find(": ");
      if (colon == std::string_view::npos) continue;
      found.frame.function = std::string(head.substr(colon + 2));
      head = head.substr(0, colon);
    }
    if (!parse_place(head, found.frame)) continue;
    return found;
  }
  return std::nullopt;
}

class CxxReader {
 public:
  CxxReader(std::string_view text, const ExitInfo& exit) : lines_(text), exit_(exit) {}

  std::vector<CrashReport> run() {
    while (const PlainLines::Line* line = lines_.current()) {
      if (reports_.size() == kMaxReports) break;
      step(*line);
    }
    return std::move(reports_);
  }

 private:
  CrashReport& add(Kind kind, CrashHint hint, std::string_view runtime, std::string_view text,
                   std::uint64_t offset) {
    reports_.push_back(begin_report(kind, hint, "cxx", runtime, offset, exit_));
    add_message(reports_.back(), text);
    return reports_.back();
  }

  void step(const PlainLines::Line& line) {
    if (thrown(line) || pure(line) || library(line)) return;
    const std::string_view text = trim(line.text);
    // "/usr/include/c++/12/debug/vector:442:", then "In function:" or, before GCC 8, "Error: ".
    Frame place;
    if (text.ends_with(':') && parse_place(text.substr(0, text.size() - 1), place)) {
      const PlainLines::Line* next = lines_.following();
      if (next != nullptr && (next->text.starts_with("In function:") ||
                              next->text.starts_with("Error: attempt to "))) {
        debug_mode(std::string(text), std::move(place), line.offset);
        return;
      }
    }
    recent_.push(line);
    lines_.advance();
  }

  static bool is_open_throw(std::string_view text) {
    return text.starts_with("terminate called") &&
           (!text.ends_with('\'') && !text.ends_with("exception"));
  }

  // std::terminate of both libraries.
  bool thrown(const PlainLines::Line& line) {
    struct Form {
      std::string_view phrase;
      CrashHint hint;
      std::string_view runtime;
    };
    constexpr std::array kForms{
        Form{"terminate called after throwing an instance of ", unhandled_exception, "libstdc++"},
        Form{"terminate called without an active exception", terminate, "libstdc++"},
        Form{"terminate called recursively", terminate, "libstdc++"},
        Form{"terminating with uncaught ", unhandled_exception, "libc++"},
        Form{"terminating due to uncaught ", unhandled_exception, "libc++"},
        Form{"libc++abi: terminating", terminate, "libc++"},
        Form{"__cxa_guard_acquire detected recursive initialization", terminate, "libc++"},
        Form{"unexpected handler unexpectedly returned", terminate, "libc++"},
        Form{"terminate_handler unexpectedly ", terminate, "libc++"},
    };
    for (const Form& form : kForms) {
      std::size_t at = line.text.find(form.phrase);
      if (at == std::string_view::npos) continue;
      if (form.runtime == "libc++") {  // "libc++abi: ", on another system "libc++abi.dylib: "
        const std::size_t name = line.text.substr(0, at + 10).rfind("libc++abi");
        if (name == std::string_view::npos) continue;
        at = name;
      }
      const std::uint64_t offset = line.offset + at;
      lines_.begins_at(at);
      const std::string text = lines_.unfold(
          is_open_throw, [](std::string_view t) { return t.starts_with("  what()"); });
      CrashReport& report = add(Kind::cxx_terminate, form.hint, form.runtime, text, offset);
      if (text.find("recursive_init_error") != std::string::npos) report.hint = terminate;
      if (text.find("bad_alloc") != std::string::npos) report.hint = bad_allocation;
      if (text.find("bad_optional_access") != std::string::npos ||
          text.find("bad_variant_access") != std::string::npos) {
        report.hint = missing_value;
      }
      if (const PlainLines::Line* next = lines_.current();
          next != nullptr && next->text.starts_with("  what():  ")) {
        add_message(report, trim(next->text));
        // A container's or a string's at(), substr(), …
        if (next->text.find("_M_range_check: ") != std::string_view::npos ||
            next->text.find(": __pos (which is ") != std::string_view::npos ||
            next->text.find("::at") != std::string_view::npos) {
          report.hint = bounds;
          std::string_view rest = next->text;
          const std::size_t which = rest.find("(which is ");
          if (which != std::string_view::npos) {
            rest.remove_prefix(which + 10);
            if (const auto value = take_decimal(rest)) {
              add_suspect(report, make_suspect(Role::index, *value, "index that was out of range"));
            }
          }
        }
        lines_.advance();
      }
      return true;
    }
    return false;
  }

  bool pure(const PlainLines::Line& line) {
    const std::string_view text = trim(line.text);
    for (const std::string_view words : {std::string_view("pure virtual method called"),
                                         std::string_view("deleted virtual method called"),
                                         std::string_view("Pure virtual function called!"),
                                         std::string_view("Deleted virtual function called!")}) {
      if (!text.ends_with(words)) continue;
      std::string_view message = text.substr(text.size() - words.size());
      const bool libcxx = words.ends_with('!');
      if (libcxx) {
        const std::size_t name = text.rfind("libc++abi");
        if (name == std::string_view::npos) continue;
        message = text.substr(name);
      }
      add(Kind::cxx_virtual, pure_virtual_call, libcxx ? "libc++" : "libstdc++", message,
          line.offset + static_cast<std::uint64_t>(message.data() - line.text.data()));
      lines_.advance();
      // "terminate called without an active exception" is the second half of it.
      if (const PlainLines::Line* next = lines_.current();
          next != nullptr &&
          next->text.find("terminate called without") != std::string_view::npos) {
        add_message(reports_.back(), trim(next->text));
        lines_.advance();
      }
      return true;
    }
    return false;
  }

  static bool is_open_library(std::string_view text) {
    return text.find(": Assertion '") != std::string_view::npos && !text.ends_with("' failed.");
  }

  bool library(const PlainLines::Line& line) {
    const bool open = is_open_library(line.text);
    if (!open && line.text.find(" failed") == std::string_view::npos) return false;
    std::uint64_t offset = line.offset;
    std::string joined(trim(line.text));
    auto found = parse_library_assertion(joined);
    for (std::size_t count = 1; !found && !open && count <= RecentLines::kLines; ++count) {
      // This line may be the end of a folded one.
      const auto before = recent_.last(count);
      if (!before) break;
      std::string whole = before->text + " " + std::string(trim(line.text));
      if (!parse_library_assertion(whole)) continue;
      joined = std::move(whole);
      offset = before->offset;
      found = parse_library_assertion(joined);
    }
    if (!found && !open) return false;
    if (open) {
      joined =
          std::string(trim(lines_.unfold(is_open_library, [](std::string_view) { return false; })));
      for (std::size_t count = 0; count <= RecentLines::kLines; ++count) {
        const auto before = recent_.last(count);
        if (count > 0 && !before) break;
        std::string whole = before ? before->text + " " + joined : joined;
        if (!parse_library_assertion(whole)) continue;
        joined = std::move(whole);
        if (before) offset = before->offset;
        found = parse_library_assertion(joined);
        break;
      }
    } else {
      found = parse_library_assertion(joined);  // views of the final string
      lines_.advance();
    }
    recent_.clear();
    const std::string_view text = joined;
    if (!found) return true;  // folded too often, or something else
    CrashReport& report =
        add(Kind::assertion, hint_of_expression(found->expression), found->runtime, text, offset);
    Stack stack;
    stack.kind = StackKind::native;
    stack.cut = true;
    add_frame(report, stack, std::move(found->frame));
    add_stack(report, std::move(stack));
    return true;
  }

  // libstdc++'s debug mode: place, function, error, and the objects with their addresses.
  void debug_mode(std::string first, Frame place, std::uint64_t offset) {
    CrashReport report =
        begin_report(Kind::assertion, CrashHint::assertion, "cxx", "libstdc++", offset, exit_);
    add_message(report, first);
    lines_.advance();
    bool in_function = false;
    std::string function;
    std::string error;
    bool ended = false;
    for (std::size_t i = 0; i < kDebugLines; ++i) {
      const PlainLines::Line* line = lines_.current();
      if (line == nullptr) break;
      const std::string_view text = trim(line->text);
      if (line->text.starts_with("In function:")) {
        in_function = true;
      } else if (text.starts_with("Error: ")) {
        in_function = false;
        // Folded by the library itself at its 78 columns.
        error = lines_.unfold([](std::string_view t) { return !t.ends_with('.'); },
                              [](std::string_view t) { return t.starts_with("Objects involved"); });
        add_message(report, error);
        continue;
      } else if (in_function && !text.empty()) {
        if (function.size() < kMaxName) {
          if (!function.empty()) function.push_back(' ');
          function += text;
        }
      } else if (text.starts_with("Objects involved in the operation:")) {
        ended = true;
      } else if (const std::size_t at = text.find(" @ 0x"); at != std::string_view::npos) {
        object(report, text, at);
      } else if (ended && !line->text.starts_with(' ') && !text.empty()) {
        break;  // other output
      }
      lines_.advance();
    }
    report.hint = hint_of_debug_error(error);
    report.truncated = error.empty();
    if (const std::size_t at = error.find("out-of-bounds index "); at != std::string::npos) {
      std::string_view rest = std::string_view(error).substr(at + 20);
      if (const auto value = take_decimal(rest)) {
        report.suspects.insert(report.suspects.begin(),
                               make_suspect(Role::index, *value, "index that was out of bounds"));
      }
    }
    place.function = std::move(function);
    Stack stack;
    stack.kind = StackKind::native;
    stack.cut = true;
    add_frame(report, stack, std::move(place));
    add_stack(report, std::move(stack));
    reports_.push_back(std::move(report));
  }

  // `iterator "this" @ 0x7ffddf5df100 {`, `references sequence with type '…' @ 0x7ffddf5df160`
  static void object(CrashReport& report, std::string_view text, std::size_t at) {
    std::string_view rest = text.substr(at + 3);
    const auto value = take_hex(rest);
    if (!value || report.suspects.size() + 1 >= kMaxSuspects) return;
    const bool sequence = text.starts_with("references sequence");
    add_suspect(report, make_suspect(Role::object, *value,
                                     sequence ? "container of the iterator"
                                              : clip(text.substr(0, at), 200)));
  }

  PlainLines lines_;
  const ExitInfo& exit_;
  std::vector<CrashReport> reports_;
  RecentLines recent_;
};

std::vector<CrashReport> parse_cxx(std::string_view text, const ExitInfo& exit) {
  // These words end a program by SIGABRT (or are then only words).
  if (exit.signal && *exit.signal != kAbort) return {};
  return CxxReader(text, exit).run();
}

}  // namespace

constinit const FrontEnd kCxxFrontEnd{"cxx", &parse_cxx};

}  // namespace culprit::crash
