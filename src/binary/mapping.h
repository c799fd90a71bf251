// One line of a process's memory map, as plain data: what ModuleMap is built from.
#pragma once

#include <cstdint>
#include <string>

#include "base/types.h"

namespace culprit::binary {

/// One mapping of the recorded process at one moment. Field order follows /proc/PID/maps
/// (proc(5)), plus the place where the mapped file can be read today.
struct Mapping {
  ByteRange range;
  std::uint64_t file_offset = 0;  ///< bytes into the file; 0 for mappings without one
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  /// The path as the recorded process saw it, or the kernel's name in brackets ("[stack]"), or
  /// empty for anonymous memory. A " (deleted)" suffix is tolerated.
  std::string path;
  /// Where to read the file from: a copy inside the trace. Empty: read `path` itself.
  std::string file;
};

}  // namespace culprit::binary
