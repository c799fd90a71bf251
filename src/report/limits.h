// Bounds of a report. A writer cuts at them and says so; a reader refuses what is over them.
#pragma once

#include <cstddef>

namespace culprit::report {

inline constexpr std::size_t kMaxHops = 1000;
inline constexpr std::size_t kMaxFrames = 256;         ///< per backtrace
inline constexpr std::size_t kMaxName = 4096;          ///< bytes of a name, a path, a command
inline constexpr std::size_t kMaxProse = 16 * 1024;    ///< bytes of a note, an explanation
inline constexpr std::size_t kMaxMessage = 16 * 1024;  ///< bytes of the crash message
inline constexpr std::size_t kMaxArguments = 1024;     ///< argv entries
inline constexpr std::size_t kMaxItems = 256;          ///< any other list
inline constexpr std::size_t kMaxJsonBytes = 64U << 20;
inline constexpr std::size_t kMaxJsonDepth = 64;

}  // namespace culprit::report
