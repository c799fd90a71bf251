// What a TraceIndex holds; shared by its parser and its queries.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "replay/trace_index.h"

namespace culprit::replay {

struct TraceIndex::Data {
  static constexpr std::uint32_t none = 0xffffffff;

  /// The system calls of one thread, by ordinal - 1.
  struct Calls {
    std::vector<std::uint32_t> entries;  ///< frame indices
    std::vector<std::uint32_t> exits;    ///< frame indices, or none
    std::uint32_t first_frame = none;
    bool inside = false;             ///< parsing: entered and not yet returned
    FrameRegisters entry_registers;  ///< parsing: of the last entry
  };

  std::vector<Frame> frames;
  std::vector<FrameRegisters> registers;
  std::vector<std::string> strings;
  std::unordered_map<std::string, std::uint32_t> string_ids;
  std::vector<TraceThread> threads;
  std::unordered_map<ThreadId, std::size_t> thread_index;
  std::unordered_map<ThreadId, Calls> calls;
  std::vector<TraceClone> clones;
  std::vector<TraceExec> execs;
  std::vector<TraceMapping> mappings;
  std::vector<KernelWrite> writes;
  std::vector<std::uint32_t> map_frames;  ///< exits of system calls that change the address space
  std::size_t skipped = 0;
  bool ticks = false;  ///< a frame has a count other than 0

  std::uint32_t intern(std::string_view text);
  Calls* calls_of(ThreadId thread);
  const Calls* calls_of(ThreadId thread) const;
  const TraceThread* find_thread(ThreadId thread) const;
};

}  // namespace culprit::replay
