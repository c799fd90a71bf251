// The one place in the user's source that a report, or a hop, is about.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "report/formats/source_paths.h"
#include "report/model.h"

namespace culprit::report {

/// A line of a source file.
struct Site {
  std::string path;  ///< in the repository; absolute, as debug info has it, if it is outside
  bool in_repository = false;
  std::uint32_t line = 0;    ///< from 1; 0: not known
  std::uint32_t column = 0;  ///< from 1; 0: not known
  std::string function;
  bool caller = false;  ///< not the hop's own code, but the innermost caller in the repository
};

/// The frame's own line. Nothing if its file is not known.
[[nodiscard]] std::optional<Site> site_of_frame(const Frame& frame, const SourcePaths& paths);

/// Where to look for what this hop did: its own line if that is in the repository, else the line in
/// the repository that called it, else its own line outside. Nothing if no file is known.
[[nodiscard]] std::optional<Site> site_of_hop(const Hop& hop, const SourcePaths& paths);

/// Where to look first: the verdict's cause; else the hop nearest to the origin, then the innermost
/// frame of the crash, that is in the repository; else any of them. Nothing if no file is known at
/// all.
[[nodiscard]] std::optional<Site> site_of_report(const Report& report, const SourcePaths& paths);

}  // namespace culprit::report
