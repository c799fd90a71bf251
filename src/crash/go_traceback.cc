#include "crash/go_traceback.h"

#include <string>
#include <utility>

namespace culprit::crash {
namespace {

constexpr std::size_t kMaxLine = 8192;
constexpr std::size_t kMaxName = 1024;
constexpr std::size_t kMaxArguments = 16;
constexpr std::size_t kMaxFolded = 8;

// "{0x471c78?, 0x4363b3?}, 0x0, ..." as printArgs writes it. False if it is anything else.
bool parse_arguments(std::string_view text, Frame& frame) {
  if (text == "...") {
    frame.inlined = true;  // printed for inlined calls only
    return true;
  }
  while (!text.empty()) {
    const char c = text.front();
    if (c == '{' || c == '}' || c == ' ' || c == ',' || c == '\t') {
      text.remove_prefix(1);
    } else if (take(text, "...")) {
      frame.arguments_cut = true;
    } else if (c == '_') {  // an argument the compiler did not keep
      text.remove_prefix(1);
      frame.arguments_cut = true;
    } else if (const auto value = take_hex(text)) {
      const bool uncertain = take(text, "?");
      if (frame.arguments.size() < kMaxArguments) {
        frame.arguments.push_back({*value, uncertain});
      } else {
        frame.arguments_cut = true;
      }
    } else {
      return false;
    }
  }
  return true;
}

// Takes " key0x…" off the end of `text`.
std::optional<std::uint64_t> take_last(std::string_view& text, std::string_view key) {
  std::string_view rest = trim(text);
  const std::size_t space = rest.find_last_of(" \t");
  std::string_view last = space == std::string_view::npos ? rest : rest.substr(space + 1);
  if (!take(last, key)) return std::nullopt;
  const auto value = take_hex(last);
  if (!value || !last.empty()) return std::nullopt;
  text = space == std::string_view::npos ? std::string_view{} : rest.substr(0, space);
  return value;
}

// "\t/usr/lib/go-1.19/src/runtime/panic.go:1047 +0x5d fp=0x… sp=0x… pc=0x…".
bool parse_location(std::string_view text, Frame& frame) {
  if (text.empty() || (text.front() != '\t' && text.front() != ' ')) return false;
  std::string_view rest = trim(text);
  if (const auto pc = take_last(rest, "pc=")) frame.pc = Address{*pc};
  if (const auto sp = take_last(rest, "sp=")) frame.sp = Address{*sp};
  if (const auto fp = take_last(rest, "fp=")) frame.fp = Address{*fp};
  frame.pc_offset = take_last(rest, "+");
  rest = trim(rest);
  if (rest.empty()) return frame.pc.has_value();  // a C function without a line table
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  std::string_view digits = rest.substr(colon + 1);
  const auto line = take_decimal(digits);
  if (!line || !digits.empty() || *line > 0xFFFFFFFF) return false;
  frame.file = clip(rest.substr(0, colon), kMaxName);
  frame.line = static_cast<std::uint32_t>(*line);
  return true;
}

bool continues_location(std::string_view line) {
  return line.starts_with("fp=0x") || line.starts_with("sp=0x") || line.starts_with("pc=0x") ||
         line.starts_with("+0x");
}

// The location line at `at` (or up to two lines further), into `frame`. Returns the index past it.
std::optional<std::size_t> find_location(TextLines& lines, const LinePrefix& prefix, std::size_t at,
                                         Frame& frame) {
  for (std::size_t skipped = 0; skipped <= 2; ++skipped, ++at) {
    const TextLines::Line* line = lines.peek(at);
    if (line == nullptr) return std::nullopt;
    const std::string_view text = prefix.strip(line->text);
    if (text.empty() || text.size() > kMaxLine) return std::nullopt;  // a blank ends the stack
    std::string joined(text);
    std::size_t end = at + 1;
    for (; end < at + 4; ++end) {
      const TextLines::Line* more = lines.peek(end);
      if (more == nullptr) break;
      const std::string_view next = prefix.strip(more->text);
      if (next.size() > 200 || !continues_location(next)) break;
      joined.append(1, ' ').append(next);
    }
    Frame candidate = frame;
    if (parse_location(joined, candidate)) {
      frame = std::move(candidate);
      return end;
    }
    if (text.ends_with(')')) return std::nullopt;  // the next frame: this one's location is lost
  }
  return std::nullopt;
}

std::optional<ParsedFrame> parse_created_by(std::string_view name, TextLines& lines,
                                            const LinePrefix& prefix) {
  ParsedFrame found;
  found.created_by = true;
  if (const std::size_t in = name.rfind(" in goroutine "); in != std::string_view::npos) {
    name = name.substr(0, in);
  }
  found.frame.function = clip(trim(name), kMaxName);
  if (found.frame.function.empty()) return std::nullopt;
  const auto end = find_location(lines, prefix, 1, found.frame);
  if (!end) return std::nullopt;
  found.lines = *end;
  return found;
}

}  // namespace

bool is_elision(std::string_view line) {
  const std::string_view text = trim(line);
  return text.size() < 80 && text.starts_with("...") && text.ends_with("frames elided...");
}

std::optional<Stack> parse_stack_header(std::string_view line) {
  if (line.size() > kMaxLine) return std::nullopt;
  std::string_view text = trim(line);
  Stack stack;
  if (text == "runtime stack:") {
    stack.kind = StackKind::runtime;
    return stack;
  }
  if (!take(text, "goroutine ")) return std::nullopt;
  const auto number = take_decimal(text);
  if (!number || *number > 0x7FFFFFFFFFFFFFFF) return std::nullopt;
  stack.goroutine = static_cast<std::int64_t>(*number);
  const std::size_t open = text.find(" [");
  if (open == std::string_view::npos || !text.ends_with("]:")) return std::nullopt;
  std::string_view words = text.substr(0, open);
  if (const std::size_t m = words.find(" m="); m != std::string_view::npos) {
    words.remove_prefix(m + 3);
    if (const auto machine = take_decimal(words); machine && *machine <= 0x7FFFFFFF) {
      stack.machine = static_cast<std::int64_t>(*machine);
    }
  }
  stack.state = clip(text.substr(open + 2, text.size() - open - 4), kMaxName);
  // Goroutine 0 is the system stack of a thread (g0).
  stack.kind = *number == 0 ? StackKind::runtime : StackKind::goroutine;
  return stack;
}

std::optional<ParsedFrame> parse_frame(TextLines& lines, const LinePrefix& prefix) {
  const TextLines::Line* first = lines.peek();
  if (first == nullptr) return std::nullopt;
  std::string_view text = prefix.strip(first->text);
  if (text.empty() || text.size() > kMaxLine || text.front() == '\t' || text.front() == ' ') {
    return std::nullopt;
  }
  if (std::string_view name = text; take(name, "created by ")) {
    return parse_created_by(name, lines, prefix);
  }
  ParsedFrame found;
  if (std::string_view rest = text; take(rest, "non-Go function")) {
    found.frame.function = "non-Go function";
    if (take(rest, " at pc=")) {
      const auto pc = take_hex(rest);
      if (!pc || !rest.empty()) return std::nullopt;
      found.frame.pc = Address{*pc};
      found.lines = 1;
      return found;
    }
    const auto end = find_location(lines, prefix, 1, found.frame);
    if (!end || !found.frame.pc) return std::nullopt;
    found.lines = *end;
    return found;
  }

  std::string joined(text);
  std::size_t next = 1;
  while (joined.find('(') != std::string::npos && !joined.ends_with(')') && next < kMaxFolded) {
    const TextLines::Line* more = lines.peek(next);
    if (more == nullptr) return std::nullopt;
    const std::string_view piece = prefix.strip(more->text);
    if (piece.empty() || piece.front() == '\t' || joined.size() + piece.size() > kMaxLine) {
      return std::nullopt;
    }
    joined.append(piece);
    ++next;
  }
  if (joined.ends_with(')')) {
    const std::size_t open = joined.rfind('(');  // arguments hold no parentheses
    if (open == std::string::npos || open == 0) return std::nullopt;
    const std::string_view arguments(joined);
    if (!parse_arguments(arguments.substr(open + 1, joined.size() - open - 2), found.frame)) {
      return std::nullopt;
    }
    found.frame.function = clip(trim(std::string_view(joined).substr(0, open)), kMaxName);
    if (found.frame.function.empty()) return std::nullopt;
    const auto end = find_location(lines, prefix, next, found.frame);
    if (!end) return std::nullopt;
    found.lines = *end;
    return found;
  }
  // A C frame named by a cgo symbolizer: a bare name, then "\tfile:line pc=0x…".
  if (joined.find_first_of(" \t") != std::string::npos) return std::nullopt;
  found.frame.function = clip(joined, kMaxName);
  const auto end = find_location(lines, prefix, 1, found.frame);
  if (!end || !found.frame.pc || found.frame.fp) return std::nullopt;
  found.lines = *end;
  return found;
}

}  // namespace culprit::crash
