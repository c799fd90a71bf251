// Private to verdict/: what the rules say and look up alike.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "report/model.h"

namespace culprit::verdict {

/// "file.c:12", "file.c", or nothing.
[[nodiscard]] std::string place(std::string_view file, std::uint32_t line);
/// What a person calls the owner of a location: "c_schema.format", "the bytes at CFA-0x20 of f's frame".
[[nodiscard]] std::string owner_name(const report::Location& location);
/// The program's own code that called the library in which the hop's instruction is: which of the library's
/// variants ran, the processor decides, and the bug is seldom there. Null if the instruction is in the program's
/// own code, in Go's runtime, or if nothing of the program's is on the stack.
[[nodiscard]] const report::Frame* caller_of_library(const report::Hop& hop);
/// The same without the index at its end: an array as a whole.
[[nodiscard]] std::string array_name(const report::Location& location);
/// Who did what a hop tells: "function (file.c:12)", or "function (file.c:12, in memcpy)" where a library did it for
/// that function.
[[nodiscard]] std::string writer_name(const report::Hop& hop);
/// "function (file.c:12)".
[[nodiscard]] std::string frame_name(const report::Frame& frame);
/// The program's own statement behind a write barrier: the first frame outside the runtime.
[[nodiscard]] std::string storing_code(const report::Hop& barrier);
/// The weakest confidence of the cited hops.
[[nodiscard]] report::Confidence weakest(const report::Report& report,
                                         const std::vector<std::uint32_t>& evidence);
/// The first hop of a kind on the main line; null if there is none.
[[nodiscard]] const report::Hop* first_of(const report::Report& report, report::HopKind kind);
/// The last hop of the main line that is not the crash itself; null if there is none.
[[nodiscard]] const report::Hop* last_writer(const report::Report& report);
/// Was it another thread of the crash's own process? (What another process did to its own copy of
/// the memory, before a fork, raced with nobody.)
[[nodiscard]] bool in_other_thread(const report::Report& report, const report::Position& position);
/// The hop on the main line just before `hop`; null for the first.
[[nodiscard]] const report::Hop* before(const report::Report& report, const report::Hop& hop);
/// Fills evidence, cause and confidence (at most likely) of a claim about the crash whose maker, if the chain
/// names one, is `maker`; "made" begins the sentence about it: " It was made by".
void blame_maker(report::Report& report, const report::Hop* maker, std::string_view made);
/// The innermost frame in a file of the program's own; null if there is none.
[[nodiscard]] const report::Frame* program_frame(const std::vector<report::Frame>& frames);
[[nodiscard]] report::CauseSite site_of_frame(const report::Frame& frame);
/// Of whom writer_name() names.
[[nodiscard]] report::CauseSite site_of_writer(const report::Hop& hop);

}  // namespace culprit::verdict
