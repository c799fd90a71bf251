// Filling a CrashReport within its bounds, for the front ends of compiled code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crash/crash_report.h"
#include "crash/front_end.h"

namespace culprit::crash {

inline constexpr std::size_t kMaxReports = 16;        ///< of one front end in one text
inline constexpr std::size_t kMaxSuspects = 16;       ///< of a report
inline constexpr std::size_t kMaxMessageLines = 64;   ///< of a report
inline constexpr std::size_t kMaxMessageLine = 512;   ///< bytes
inline constexpr std::size_t kMaxName = 1024;         ///< bytes of a function, file or module name
inline constexpr std::size_t kMaxNativeStacks = 64;   ///< of a report
inline constexpr std::size_t kMaxNativeFrames = 256;  ///< of a stack
/// Lines of other output after which a report is taken to have ended.
inline constexpr std::size_t kPatience = 64;

/// A report of this kind, with what is known of the process's end.
[[nodiscard]] CrashReport begin_report(Kind kind, CrashHint hint, std::string_view front_end,
                                       std::string_view runtime, std::uint64_t offset,
                                       const ExitInfo& exit);

// Each of these drops what does not fit, and says so in `truncated`.
void add_message(CrashReport& report, std::string_view line);
void add_suspect(CrashReport& report, Suspect suspect);
/// The stack that was added, or null.
Stack* add_stack(CrashReport& report, Stack stack);
void add_frame(CrashReport& report, Stack& stack, Frame frame);

/// A suspect of the role with the value, and nothing else known.
[[nodiscard]] Suspect make_suspect(Role role, std::uint64_t value, std::string description);

/// Is it one of the functions between the program's call of abort() (or raise()) and the kernel?
[[nodiscard]] bool is_abort_frame(const Frame& frame);

/// Sets `reporting` to the innermost frame of the first crash stack for which `machinery` is false.
void find_reporting(CrashReport& report, bool (*machinery)(const Frame&));

}  // namespace culprit::crash
