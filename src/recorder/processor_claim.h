// One processor for one recording and all of its replays.
//
// rr binds a recording to one processor, and each replay to the same one (RecordSession.cc,
// choose_cpu). It draws the processor by lot, so that of two recordings on a machine of two, every
// second pair shares one while the other idles. rr's own remedy, a lock file, is only there where
// its default trace directory is, and covers no time between two replays.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "base/file_descriptor.h"

namespace culprit::recorder {

/// A processor that no other holder of a claim on the same file uses. Held as long as this lives,
/// in this process; the kernel gives it back however the process ends. Move only.
class ProcessorClaim {
 public:
  /// Claims the first of `processors` (their numbers) that is free; the n-th byte of `file` stands
  /// for processor n, as in rr's own lock file (util.cc, choose_cpu), so that plain rr and culprit
  /// keep out of each other's way where they use one file. The file is made if it is missing, never
  /// written. Nothing if all are taken or the file cannot be used: then rr may choose as it likes.
  [[nodiscard]] static std::optional<ProcessorClaim> take(const std::filesystem::path& file,
                                                          const std::vector<int>& processors);
  int processor() const { return processor_; }

 private:
  ProcessorClaim(int processor, FileDescriptor file)
      : processor_(processor), file_(std::move(file)) {}

  int processor_;
  FileDescriptor file_;
};

/// The processors that this process may run on, in ascending order; empty if the kernel does not
/// tell.
std::vector<int> allowed_processors();

/// Where claims are made: $_RR_CPU_LOCK_FILE, else "cpu_lock" in default_trace_root(), as rr does
/// with its own directory.
std::filesystem::path processor_lock_file();

}  // namespace culprit::recorder
