#include "crash/ubsan_front_end.h"

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/native_frame.h"
#include "crash/plain_lines.h"
#include "crash/report_builder.h"
#include "crash/sanitizer_headline.h"

namespace culprit::crash {
namespace {

constexpr std::string_view kError = " runtime error: ";
// Lines of the bytes at an address and of the pointers below them.
constexpr std::size_t kNoteLines = 12;

// What a text contains, in the order in which it is asked for.
struct Error {
  std::string_view phrase;
  CrashHint hint;
};

using enum CrashHint;
constexpr std::array kErrors{
    Error{"signed integer overflow", integer_overflow},
    Error{"unsigned integer overflow", integer_overflow},
    Error{"negation of ", integer_overflow},
    Error{"division of ", integer_overflow},
    Error{"division by zero", division_by_zero},
    Error{"shift exponent ", invalid_shift},
    Error{"left shift of ", invalid_shift},
    Error{"is outside the range of representable values", integer_overflow},
    Error{"implicit conversion from ", integer_overflow},
    Error{" out of bounds for type ", bounds},
    Error{" misaligned address ", misaligned_access},
    Error{"assumption of ", bad_argument},
    Error{" null pointer of type ", null_access},
    Error{" null pointer passed as argument", bad_argument},
    Error{"null pointer passed as argument", bad_argument},
    Error{"null pointer returned from function", bad_argument},
    Error{"applying zero offset to null pointer", null_access},
    Error{"to null pointer", null_access},
    Error{"pointer index expression with base ", integer_overflow},
    Error{"addition of unsigned offset to ", integer_overflow},
    Error{"subtraction of unsigned offset from ", integer_overflow},
    Error{"which is not a valid value for type ", invalid_value},
    Error{"execution reached an unreachable program point", unreachable_code},
    Error{"execution reached the end of a value-returning function", unreachable_code},
    Error{"variable length array bound evaluates to non-positive value", bounds},
    Error{"which does not point to an object of type ", type_confusion},
    Error{"with insufficient space for an object of type ", type_confusion},
    Error{"through pointer to incorrect function type", type_confusion},
    Error{"control flow integrity check", type_confusion},
    Error{"passing zero to ", bad_argument},
    Error{"invalid builtin", bad_argument},
};

struct MinimalError {
  std::string_view name;
  CrashHint hint;
};

constexpr std::array kMinimalErrors{
    MinimalError{"type-mismatch", misaligned_access},
    MinimalError{"alignment-assumption", bad_argument},
    MinimalError{"add-overflow", integer_overflow},
    MinimalError{"sub-overflow", integer_overflow},
    MinimalError{"mul-overflow", integer_overflow},
    MinimalError{"negate-overflow", integer_overflow},
    MinimalError{"divrem-overflow", integer_overflow},
    MinimalError{"shift-out-of-bounds", invalid_shift},
    MinimalError{"out-of-bounds", bounds},
    MinimalError{"local-out-of-bounds", bounds},
    MinimalError{"builtin-unreachable", unreachable_code},
    MinimalError{"missing-return", unreachable_code},
    MinimalError{"vla-bound-not-positive", bounds},
    MinimalError{"float-cast-overflow", integer_overflow},
    MinimalError{"load-invalid-value", invalid_value},
    MinimalError{"invalid-builtin", bad_argument},
    MinimalError{"invalid-objc-cast", type_confusion},
    MinimalError{"function-type-mismatch", type_confusion},
    MinimalError{"implicit-conversion", integer_overflow},
    MinimalError{"nonnull-arg", bad_argument},
    MinimalError{"nonnull-return", bad_argument},
    MinimalError{"nullability-arg", bad_argument},
    MinimalError{"nullability-return", bad_argument},
    MinimalError{"pointer-overflow", integer_overflow},
    MinimalError{"cfi-check-fail", type_confusion},
};

// A signed number after `key`, as two's complement.
std::optional<std::uint64_t> number_after(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + key.size());
  const bool negative = take(text, "-");
  const auto value = take_decimal(text);
  if (!value) return std::nullopt;
  return negative ? 0 - *value : *value;
}

CrashHint hint_of_error(std::string_view what) {
  for (const Error& error : kErrors) {
    if (what.find(error.phrase) != std::string_view::npos) return error.hint;
  }
  return none;
}

void add_suspects(CrashReport& report, std::string_view what) {
  const auto add = [&](Role role, std::optional<std::uint64_t> value, std::string_view words) {
    if (value) add_suspect(report, make_suspect(role, *value, std::string(words)));
  };
  switch (report.hint) {
    case misaligned_access:
      add(Role::bad_pointer, hex_after(what, " misaligned address "),
          "pointer that is not aligned as its type must be");
      break;
    case null_access:
      if (what.find(" null pointer of type ") != std::string_view::npos) {
        add(Role::fault_address, 0, "null pointer");
      }
      break;
    case type_confusion:
      if (const auto vtable = hex_after(what, "vtable address ")) {
        add(Role::bad_pointer, vtable, "address of the vtable");
      } else {
        add(Role::bad_pointer, hex_after(what, " address "),
            "pointer to what is not an object of the expected type");
      }
      break;
    case integer_overflow: {
      auto base = hex_after(what, "unsigned offset to ");
      if (!base) base = hex_after(what, "unsigned offset from ");
      if (!base) base = hex_after(what, "expression with base ");
      add(Role::bad_pointer, base, "pointer that an offset was applied to");
      const auto result = hex_after(what, "overflowed to ");
      if (base && result) {
        Suspect offset = make_suspect(Role::index, *result - *base, "offset that was applied");
        offset.certainty = Certainty::inferred;
        add_suspect(report, std::move(offset));
      }
      break;
    }
    case bounds:
      add(Role::index, number_after(what, "index "), "index that was out of bounds");
      add(Role::index, number_after(what, "non-positive value "), "length of the array");
      break;
    case invalid_shift:
      add(Role::index, number_after(what, "shift exponent "), "count of the shift");
      break;
    default:
      break;
  }
}

class UbsanReader {
 public:
  UbsanReader(std::string_view text, const ExitInfo& exit) : lines_(text), exit_(exit) {}

  std::vector<CrashReport> run() {
    while (const PlainLines::Line* line = lines_.current()) {
      if (reports_.size() == kMaxReports) break;
      step(*line);
    }
    close();
    return std::move(reports_);
  }

 private:
  // "a.c:12:5:" at the end of `head`: where it begins, and the frame it makes.
  static std::optional<std::pair<std::size_t, Frame>> place_before(std::string_view head) {
    if (!head.ends_with(':')) return std::nullopt;
    head.remove_suffix(1);
    Frame frame;
    const std::size_t blank = head.rfind(' ');
    std::size_t begin = blank == std::string_view::npos ? 0 : blank + 1;
    // A file name may hold blanks; then the whole line up to here is the place.
    if (head.starts_with('/')) begin = 0;
    if (head.substr(begin) == "<unknown>" || parse_place(head.substr(begin), frame)) {
      return std::pair{begin, std::move(frame)};
    }
    return std::nullopt;
  }

  static bool is_open_error(std::string_view text) {
    for (const std::string_view end :
         {" for", " for type", " of", " in", " type", " to", " address", " which", " cannot", " be",
          " represented", " requires", " byte", " not", " point", " an", " object", " a",
          " valid"}) {
      if (text.ends_with(end)) return true;
    }
    return false;
  }

  static bool begins_own_line(std::string_view text) {
    return parse_sanitizer_frame(text) || text.find(kError) != std::string_view::npos ||
           text.find(": note: ") != std::string_view::npos || text.starts_with("SUMMARY: ");
  }

  void step(const PlainLines::Line& line) {
    if (const std::size_t at = line.text.find(kError); at != std::string_view::npos) {
      if (auto place = place_before(line.text.substr(0, at))) {
        begin(place->first, std::move(place->second));
        return;
      }
    }
    const std::string_view text = trim(line.text);
    if (take_minimal(text, line.offset)) {
      lines_.advance();
      return;
    }
    if (!report_) {
      lines_.advance();
      return;
    }
    if (find_sanitizer_headline(text)) {
      close();  // its stacks are another front end's
    } else if (auto numbered = parse_sanitizer_frame(text)) {
      frame(std::move(*numbered));
    } else if (text.starts_with("SUMMARY: ")) {
      close();
    } else if (const std::size_t note = text.find(": note: "); note != std::string_view::npos) {
      add_message(*report_, text);
      idle_ = 0;
    } else if (++idle_ > kNoteLines) {
      close();
    }
    lines_.advance();
  }

  void begin(std::size_t at, Frame place) {
    close();
    const std::uint64_t offset = lines_.current()->offset + at;
    lines_.begins_at(at);
    const std::string text = lines_.unfold(is_open_error, begins_own_line);
    const std::string_view what = std::string_view(text).substr(text.find(kError) + kError.size());
    report_ = begin_report(Kind::undefined_behaviour_sanitizer, hint_of_error(what), "ubsan",
                           "ubsan", offset, exit_);
    add_message(*report_, text);
    add_suspects(*report_, what);
    place_ = std::move(place);
    idle_ = 0;
  }

  // "ubsan: add-overflow", newer with " by 0x…" of the caller.
  bool take_minimal(std::string_view text, std::uint64_t offset) {
    const std::string_view line = text;
    if (!take(text, "ubsan: ")) return false;
    const std::string_view name = text.substr(0, text.find(' '));
    for (const MinimalError& error : kMinimalErrors) {
      if (name != error.name) continue;
      close();
      CrashReport report = begin_report(Kind::undefined_behaviour_sanitizer, error.hint, "ubsan",
                                        "ubsan", offset, exit_);
      add_message(report, line);
      if (const auto address = hex_after(text, " address ")) {  // since version 19
        const bool null = *address < 4096;
        if (null) report.hint = null_access;
        add_suspect(report,
                    make_suspect(null ? Role::fault_address : Role::bad_pointer, *address,
                                 null ? "address that was accessed: a null pointer plus an offset"
                                      : "pointer that is not aligned as its type must be"));
      }
      if (const auto pc = hex_after(text, " by ")) {
        Stack stack;
        stack.kind = StackKind::native;
        Frame frame;
        frame.pc = Address{*pc};
        add_frame(report, stack, std::move(frame));
        add_stack(report, std::move(stack));
      }
      reports_.push_back(std::move(report));
      return true;
    }
    return false;
  }

  void frame(NumberedFrame numbered) {
    idle_ = 0;
    if (report_->stacks.empty()) {
      Stack stack;
      stack.kind = StackKind::native;
      add_stack(*report_, std::move(stack));
    }
    add_frame(*report_, report_->stacks.front(), std::move(numbered.frame));
  }

  void close() {
    if (!report_) return;
    // Without a stack, the place is all there is.
    if (report_->stacks.empty() && !place_.file.empty()) {
      Stack stack;
      stack.kind = StackKind::native;
      stack.cut = true;
      add_frame(*report_, stack, std::move(place_));
      add_stack(*report_, std::move(stack));
    }
    find_reporting(*report_, [](const Frame& f) { return f.function.starts_with("__ubsan"); });
    reports_.push_back(std::move(*report_));
    report_.reset();
  }

  PlainLines lines_;
  const ExitInfo& exit_;
  std::optional<CrashReport> report_;
  Frame place_;
  std::size_t idle_ = 0;
  std::vector<CrashReport> reports_;
};

std::vector<CrashReport> parse_ubsan(std::string_view text, const ExitInfo& exit) {
  return UbsanReader(text, exit).run();
}

}  // namespace

constinit const FrontEnd kUbsanFrontEnd{"ubsan", &parse_ubsan};

}  // namespace culprit::crash
