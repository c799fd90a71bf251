// The heap blocks of one process during a pass: who allocated each one and who freed it.
//
// Calls of the allocator's functions are seen through breakpoints in the code (int3): there are more of
// them than debug registers. A call's result is read at its return address, which gets a breakpoint of its
// own when the function is entered. This file keeps the book; the pass engine handles the stops.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/protocol.h"

namespace culprit::agent {

/// Book of the blocks. Bounded: past kMaxBlocks the oldest blocks are forgotten.
class AllocationLog {
 public:
  static constexpr std::size_t kMaxBlocks = 200'000;
  static constexpr std::size_t kMaxStrays = 1'000;
  /// Stack snapshots are large: only this many of the newest blocks keep theirs.
  static constexpr std::size_t kMaxStacks = 50'000;

  explicit AllocationLog(std::vector<wire::HeapFunction> functions)
      : functions_(std::move(functions)) {}

  const std::vector<wire::HeapFunction>& functions() const { return functions_; }
  std::uint64_t calls() const { return calls_; }

  /// A thread enters a function; `call` has its registers and stack. A call from inside another
  /// allocator function of the same thread belongs to that one and is left out. Returns true if the
  /// return has to be seen too.
  bool on_entry(wire::HeapCall call);

  /// True if `thread`, whose stack pointer is `sp`, returns from the call that on_entry() waits for.
  bool returns(std::int32_t thread, std::uint64_t sp) const;
  /// Where that call leaves its result, if not in rax.
  std::optional<std::uint64_t> result_slot(std::int32_t thread) const;
  /// That call has returned `result` (0: it failed).
  void on_return(std::int32_t thread, std::uint64_t result);

  /// What is known of an address now, and the newest call of `thread`.
  wire::HeapBlocks blocks_at(std::uint64_t address, std::int32_t thread) const;

 private:
  void allocated(std::uint64_t start, std::uint64_t size, wire::HeapCall call);
  void released(std::uint64_t start, wire::HeapCall call);
  wire::HeapBlock* find(std::uint64_t number);

  std::vector<wire::HeapFunction> functions_;
  std::uint64_t calls_ = 0;
  std::unordered_map<std::int32_t, wire::HeapCall> pending_;  ///< by thread
  std::map<std::uint64_t, std::uint64_t> living_;             ///< start to number
  std::deque<wire::HeapBlock> blocks_;                        ///< by number - first_
  std::uint64_t first_ = 0;                                   ///< number of blocks_.front()
  struct Release {
    std::uint64_t pointer = 0;
    std::uint64_t sp = 0;
    std::uint8_t function = 0;
  };
  std::unordered_map<std::int32_t, Release> last_release_;  ///< by thread
  std::unordered_map<std::int32_t, wire::HeapCall> last_call_;  ///< by thread
  std::deque<wire::HeapCall> strays_;  ///< releases of what was no living block's start
};

}  // namespace culprit::agent
