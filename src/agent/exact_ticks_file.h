// How a trace tells that its ticks were counted by stepping.
#pragma once

namespace culprit::agent {

/// A file of this name in a trace: it was recorded with exact ticks. Holds "v1\n".
inline constexpr char exact_ticks_file[] = "culprit-exact-ticks";

}  // namespace culprit::agent
