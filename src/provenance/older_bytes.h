// Where bytes lay before a system call put them into a slot in place of others.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/result.h"
#include "provenance/process_image.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

/// The place that the bytes came from.
struct OlderBytes {
  Address address;
  ProcessId process;    ///< in whose memory: another one's for process_vm_writev and /proc/PID/mem
  replay::Mark before;  ///< they were there then
  /// The write of a file that they went through on the way.
  std::optional<report::Syscall> through;
  report::Position through_at;
};

/// Just before the system call that `hit` tells of.
[[nodiscard]] replay::Mark before_call(const replay::Hit& hit);

/// What put the bytes of `slot` where the call of `hit` took them from:
/// * mremap: the old place of the page;
/// * mmap over the page, madvise(MADV_DONTNEED) on a private mapping of a file: the buffer of the
/// write or
///   pwrite that put them into the file, or the shared mapping of the same file that was stored to;
/// * process_vm_writev, write and pwrite of another process (to /proc/PID/mem): its buffer.
/// Found in the index; one pass for process_vm_writev, whose vectors are in memory. Nothing if the
/// file's bytes are older than the recording, or the call is another one. Errors: those of
/// Replay::run.
[[nodiscard]] Result<std::optional<OlderBytes>> find_older_bytes(
    replay::Replay& replay, const ProcessImage& image, const replay::Hit& hit, ByteRange slot,
    std::chrono::milliseconds deadline, report::Stats& stats);

}  // namespace culprit::provenance
