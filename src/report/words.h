// What every format says in the same words: names of hops, slots, moments and reasons.
//
// All functions return one line of harmless UTF-8 (sanitize.h) in which each name of the program
// has at most kMaxShownName bytes. A format still escapes the text for its own syntax.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "report/model.h"

namespace culprit::report {

/// Bytes of one name (function, variable, path) that formats for people show.
inline constexpr std::size_t kMaxShownName = 300;

/// `text` as one harmless line of at most kMaxShownName bytes.
[[nodiscard]] std::string shown(std::string_view text);

/// "the runtime recorded", "copied": for a hop that has no summary.
[[nodiscard]] std::string_view verb_of(HopKind kind);
/// "store", "block copy": the kind as a label.
[[nodiscard]] std::string label_of(HopKind kind);
/// "the heap", "a stack of the runtime".
[[nodiscard]] std::string_view name_of(RegionKind region);
/// "a limit was reached": why a chain ends.
[[nodiscard]] std::string_view reason_of(StopReason reason);

/// The verdict's title and fix, or those of its class where it has none.
[[nodiscard]] std::string title_of(const Verdict& verdict);
[[nodiscard]] std::string fix_of(const Verdict& verdict);
/// "the time was up (timeout): after 120 s", for a chain that is incomplete.
[[nodiscard]] std::string stop_text(const Verdict& verdict);

/// The demangled name if there is one, else the symbol.
[[nodiscard]] std::string function_name(const std::string& demangled, const std::string& function);
/// "c_schema.format"; empty if neither is known.
[[nodiscard]] std::string variable_name(const std::string& variable, const std::string& member);
/// The last part of a path.
[[nodiscard]] std::string_view base_name(std::string_view path);
/// A path relative to `directory` (the program's) where it is below it; else its last two parts.
[[nodiscard]] std::string_view short_path(std::string_view path, std::string_view directory);
/// "import.c:31", with short_path(); else the module and the offset in it; else nothing.
[[nodiscard]] std::string place_text(std::string_view directory, const std::string& file,
                                     std::uint32_t line, const std::string& module,
                                     const std::optional<std::uint64_t>& offset);
/// "c_schema.format in cache_schema, import.c:14"; empty if nothing is known.
[[nodiscard]] std::string cause_text(const CauseSite& cause, std::string_view directory);

/// Who did it: the function, "the kernel", "crash", "libfoo.so+0x12"; "??" if nothing is known.
[[nodiscard]] std::string actor_of(const Hop& hop);
/// The source line (or the instruction) without its indentation.
[[nodiscard]] std::string code_of(const Writer& writer);
/// The slot: "c_schema.format", "offset 16 of a block of 40 bytes", a description or a region.
[[nodiscard]] std::string slot_name(const Location& location);
/// "struct ArrowSchema, local of cache_schema, import.c:14"; empty if nothing is known.
[[nodiscard]] std::string slot_details(const Location& location, std::string_view directory);
/// "read(0x3, 0x7ffd1000, 0x8) = 8 on /in.bin at offset 128".
[[nodiscard]] std::string syscall_text(const Syscall& call);
/// "the value came from gp.stack.lo at 0xc0000061a0; inputs: …"; empty if it is not known.
[[nodiscard]] std::string source_text(const Hop& hop);
/// "thread 487 (main), process 480, event 674"; empty if nothing is known.
[[nodiscard]] std::string moment_text(const Position& position);
/// "called from main.exportField (main.go:37) ← …": four callers, without the hop's own frame.
[[nodiscard]] std::string callers_text(const Hop& hop, std::string_view directory);
/// "bytes 4-7 of the value"; empty if the hop explains all of them.
[[nodiscard]] std::string bytes_text(const Hop& hop);
/// Whether `value_after` says anything for this kind of hop, and is known.
[[nodiscard]] bool has_value(const Hop& hop);
/// One line: the summary, or a sentence of the kind, the value and the slot.
[[nodiscard]] std::string deed_text(const Hop& hop);
/// "SIGSEGV at 0x18: the first line of the message"; else the kind of the crash.
[[nodiscard]] std::string crash_text(const Crash& crash);
/// "0xc000100000, pointer to an unallocated span"; without how it was chosen.
[[nodiscard]] std::string suspect_text(const Suspect& suspect);

/// The program's arguments as one line, quoted where a shell would need it.
[[nodiscard]] std::string command_line(const Program& program);
/// Milliseconds of the whole triage: the phase "total" if there is one, else the sum of all phases.
[[nodiscard]] double total_ms(const Stats& stats);

}  // namespace culprit::report
