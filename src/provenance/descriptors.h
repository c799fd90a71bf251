// What a file descriptor stood for when a recorded process read from it: which call opened it, how
// far into the file it was, and, for pipes and socket pairs inside the recording, which call wrote
// the bytes.
//
// Made from the trace's system calls alone, which are repeated here as far as descriptors go: open,
// dup, close, fork, read, write, lseek (man pages of section 2). Not followed: descriptors that
// came through a socket (SCM_RIGHTS), splice and its like, CLONE_FILES between processes. What is
// not known is not told.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "replay/trace_index.h"

namespace culprit::provenance {

/// A system call that made, copied, closed or used a descriptor, when it returned.
struct DescriptorCall {
  EventNumber event;  ///< of its return
  ThreadId thread;
  ProcessId process;
  std::uint64_t ordinal = 0;  ///< of the thread's system call entries, see Mark::syscall_entry
  std::uint64_t number = 0;
  std::array<std::uint64_t, 6> arguments{};
  std::int64_t result = 0;
};

/// A process that another one made, with copies of its descriptors.
struct DescriptorFork {
  EventNumber event;
  ProcessId parent;
  ProcessId child;
};

/// Where a descriptor came from.
struct Opening {
  enum class Kind : std::uint8_t {
    file,  ///< open and its like: `call` has the path
    pipe,  ///< `end` 0 reads, 1 writes
    socketpair,
    socket,     ///< socket, accept: the other side is not known
    other,      ///< memfd_create, eventfd, …
    inherited,  ///< it was there when the recording began
  };
  Kind kind = Kind::other;
  std::optional<DescriptorCall> call;  ///< none if inherited
  int end = 0;                         ///< which of the two that a pipe or socket pair has
  int descriptor = -1;  ///< what the call named it; inherited: as the first process had it
};

/// The call that wrote some bytes.
struct StreamWrite {
  DescriptorCall call;
  std::uint64_t offset = 0;  ///< of the asked byte in what it wrote
};

/// All calls about descriptors of a trace.
class DescriptorHistory {
 public:
  /// Reads the two descriptors that pipe() or socketpair() put into memory. Nothing: not known.
  using ReadPair = std::function<std::optional<std::array<int, 2>>(const DescriptorCall&)>;

  /// Linear in the number of frames. A trace with more than four million such calls gives an empty
  /// history.
  [[nodiscard]] static DescriptorHistory read(const replay::TraceIndex& index);
  /// `calls` and `forks` by ascending event.
  DescriptorHistory(std::vector<DescriptorCall> calls, std::vector<DescriptorFork> forks)
      : calls_(std::move(calls)), forks_(std::move(forks)) {}

  /// The thread's call with this ordinal; null if it is none about descriptors.
  [[nodiscard]] const DescriptorCall* call(ThreadId thread, std::uint64_t ordinal) const;

  /// What `descriptor` of `process` stood for just before `before`. Asks `pair` at most sixteen
  /// times.
  [[nodiscard]] std::optional<Opening> opening_of(ProcessId process, int descriptor,
                                                  EventNumber before, const ReadPair& pair) const;

  /// The file position that `use`, a call on the opened file, began at. Nothing where it cannot be
  /// told (O_APPEND, no file).
  [[nodiscard]] std::optional<std::uint64_t> offset_before(const Opening& opening,
                                                           const DescriptorCall& use) const;

  /// Who wrote byte `offset` of what `use`, a read from this pipe or socket pair, has read. Nothing
  /// if it is neither, or the bytes came from elsewhere.
  [[nodiscard]] std::optional<StreamWrite> writer_of(const Opening& opening,
                                                     const DescriptorCall& use,
                                                     std::uint64_t offset,
                                                     const ReadPair& pair) const;

  /// The newest call in frames before `before` that wrote byte `offset` of this open file (write,
  /// writev, pwrite). Nothing if there is none, or it cannot be told (O_APPEND, no file).
  [[nodiscard]] std::optional<StreamWrite> file_writer_of(const Opening& opening,
                                                          std::uint64_t offset,
                                                          EventNumber before) const;

 private:
  std::vector<DescriptorCall> calls_;
  std::vector<DescriptorFork> forks_;
};

/// read, recvfrom and their like: the kernel writes what came from the descriptor into memory.
[[nodiscard]] bool is_input(std::uint64_t syscall);
/// True if its buffers are listed in memory (readv, recvmsg, writev, sendmsg).
[[nodiscard]] bool is_vectored(std::uint64_t syscall);

}  // namespace culprit::provenance
