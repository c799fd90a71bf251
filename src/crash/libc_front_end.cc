#include "crash/libc_front_end.h"

#include <array>
#include <optional>
#include <utility>

#include "crash/text_lines.h"

namespace culprit::crash {
namespace {

constexpr std::size_t kMaxReports = 16;
constexpr std::size_t kMaxMessageLine = 512;
constexpr std::size_t kMaxLine = 8192;

// What malloc_printerr is given, and nothing else is likely to say (glibc 2.36 and before).
constexpr std::array<std::string_view, 34> kMallocMessages{
    "double free or corruption (out)",
    "double free or corruption (!prev)",
    "double free or corruption (top)",
    "double free or corruption (fasttop)",
    "free(): invalid pointer",
    "free(): invalid size",
    "free(): invalid next size (fast)",
    "free(): invalid next size (normal)",
    "free(): double free detected in tcache 2",
    "free(): too many chunks detected in tcache",
    "free(): unaligned chunk detected in tcache 2",
    "free(): corrupted unsorted chunks",
    "invalid fastbin entry (free)",
    "malloc(): corrupted top size",
    "malloc(): invalid size (unsorted)",
    "malloc(): invalid next size (unsorted)",
    "malloc(): mismatching next->prev_size (unsorted)",
    "malloc(): unsorted double linked list corrupted",
    "malloc(): invalid next->prev_inuse (unsorted)",
    "malloc(): unaligned tcache chunk detected",
    "malloc(): unaligned fastbin chunk detected",
    "malloc(): memory corruption (fast)",
    "malloc(): memory corruption",
    "malloc(): smallbin double linked list corrupted",
    "malloc_consolidate(): invalid chunk size",
    "malloc_consolidate(): unaligned fastbin chunk detected",
    "realloc(): invalid pointer",
    "realloc(): invalid old size",
    "realloc(): invalid next size",
    "munmap_chunk(): invalid pointer",
    "mremap_chunk(): invalid pointer",
    "corrupted size vs. prev_size",
    "corrupted double-linked list",
    "break adjusted to free malloc space",
};

constexpr std::array<std::string_view, 4> kStarred{
    "*** stack smashing detected ***",
    "*** buffer overflow detected ***",
    "*** longjmp causes uninitialized stack frame ***",
    "*** %n in writable segment detected ***",
};

// "prog: file.c:12: func: Assertion `x' failed."
bool is_assertion(std::string_view line) {
  const std::size_t at = line.find(": Assertion ");
  return at != std::string_view::npos && at > 0 && line.ends_with("' failed.");
}

// "*** Error in `./a.out': double free or corruption (out): 0x0000000001b6e010 ***" (to glibc 2.25)
// holds the pointer that was given to free.
std::optional<std::uint64_t> old_style_pointer(std::string_view line) {
  if (!line.ends_with(" ***")) return std::nullopt;
  std::string_view rest = line.substr(0, line.size() - 4);
  const std::size_t at = rest.rfind(": 0x");
  if (at == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(at + 2);
  const auto value = take_hex(rest);
  return rest.empty() ? value : std::nullopt;
}

std::optional<CrashReport> parse_line(std::string_view line) {
  if (line.size() > kMaxLine) return std::nullopt;
  const std::string_view text = trim(line);
  CrashReport report;
  report.kind = Kind::libc_abort;
  report.front_end = "libc";
  report.runtime = "glibc";
  report.message.push_back(clip(text, kMaxMessageLine));
  if (text.starts_with("*** Error in `")) {
    const auto pointer = old_style_pointer(text);
    if (!pointer) return std::nullopt;
    Suspect suspect;
    suspect.value = *pointer;
    suspect.description = "pointer that was given to the allocator";
    report.suspects.push_back(std::move(suspect));
    return report;
  }
  for (const std::string_view message : kStarred) {
    if (text.starts_with(message)) return report;
  }
  for (const std::string_view message : kMallocMessages) {
    // Before 2.26 a message could be the whole line or have a pointer behind it.
    if (text == message) return report;
  }
  if (is_assertion(text) || text.starts_with("terminate called after throwing an instance of ") ||
      text == "terminate called without an active exception" ||
      text == "pure virtual method called" || text.starts_with("Fatal glibc error: ")) {
    return report;
  }
  return std::nullopt;
}

std::vector<CrashReport> parse_libc(std::string_view text, const ExitInfo& exit) {
  constexpr int kAbort = 6;
  std::vector<CrashReport> reports;
  // These words end a program by SIGABRT (or are then only words).
  if (exit.signal && *exit.signal != kAbort) return reports;
  TextLines lines(text);
  while (const TextLines::Line* line = lines.peek()) {
    if (auto report = parse_line(line->text)) {
      report->offset = line->offset;
      report->signal = exit.signal;
      report->signal_code = exit.signal_code;
      report->exit_status = exit.exit_status;
      report->pc = exit.pc;
      reports.push_back(std::move(*report));
      if (reports.size() == kMaxReports) break;
    }
    lines.advance();
  }
  return reports;
}

}  // namespace

constinit const FrontEnd kLibcFrontEnd{"libc", &parse_libc};

}  // namespace culprit::crash
