// Walking the call stack of a stopped thread over its memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/registers.h"
#include "base/result.h"
#include "base/types.h"
#include "binary/module_map.h"
#include "binary/partial_registers.h"
#include "binary/symbolizer.h"

namespace culprit::binary {

/// Which rule found a frame's caller.
enum class UnwindRule : std::uint8_t {
  none,           ///< no caller was looked for or found
  eh_frame,       ///< .eh_frame CFI
  debug_frame,    ///< .debug_frame CFI (Go emits only this one)
  frame_pointer,  ///< the rbp chain; the caller's other registers are unknown
  leaf_guess,     ///< return address taken from [rsp]: pc lies at a call target without CFI
};
[[nodiscard]] const char* to_string(UnwindRule rule);

/// One physical frame. Frame 0 is where the thread stands.
struct Frame {
  Address pc;
  /// exact for the innermost frame and for frames that a signal interrupted.
  PcKind pc_kind = PcKind::exact;
  PartialRegisters registers;  ///< as they are in this frame at pc
  /// Canonical frame address: rsp before the call that made this frame (System V: the address just
  /// above the return address). Known if the caller was found by CFI or frame pointer.
  std::optional<Address> cfa;
  /// The slot that holds this frame's return address, cfa - 8 where the CFI says nothing else.
  std::optional<Address> return_address_slot;
  /// Where this frame saved its caller's registers, by Gpr (0: not saved in memory).
  std::array<Address, 16> saved_at{};
  bool is_signal_frame = false;        ///< the signal trampoline itself (CFI augmentation 'S')
  UnwindRule rule = UnwindRule::none;  ///< how this frame's cfa and caller were found

  [[nodiscard]] Address sp() const { return registers.values.sp(); }
};

/// Bounds of a walk.
struct UnwindLimits {
  std::size_t max_frames = 4096;
};

/// Why a walk ended.
enum class UnwindStop : std::uint8_t {
  outermost,    ///< CFI says that there is no caller (undefined return address), or pc is 0
  no_rule,      ///< neither CFI nor a plausible frame pointer
  memory,       ///< the stack could not be read
  no_progress,  ///< the caller's frame would not be above this one: a loop or corruption
  bad_cfi,      ///< malformed call frame information
  limit,        ///< max_frames reached
};
[[nodiscard]] const char* to_string(UnwindStop stop);

/// A walked stack, innermost frame first.
struct Backtrace {
  std::vector<Frame> frames;
  UnwindStop stop = UnwindStop::outermost;
  std::string detail;  ///< one clause for people
};

/// One step's result: the callee completed with its cfa, and its caller.
struct UnwindStep {
  Frame callee;                 ///< the frame given, with cfa, slots and rule filled in
  std::optional<Frame> caller;  ///< none: see stop
  UnwindStop stop = UnwindStop::outermost;
  std::string detail;
};

/// Unwinds with the call frame information of the modules' files, over any MemoryReader. Borrows
/// the map. A runtime that switches stacks (Go) uses step() and replaces the caller's frame.
class Unwinder {
 public:
  explicit Unwinder(const ModuleMap& map) : map_(&map) {}

  /// The whole stack of a stopped thread. Frame 0 is always there.
  [[nodiscard]] Backtrace unwind(const Registers& registers, const MemoryReader& memory,
                                 UnwindLimits limits = {}) const;
  /// The caller of one frame.
  [[nodiscard]] UnwindStep step(const Frame& frame, const MemoryReader& memory) const;

  /// A frame to begin with: all registers known, pc exact.
  [[nodiscard]] static Frame start(const Registers& registers);
  /// A frame at a saved pc, sp (and bp): what a runtime's stack switch leaves behind (Go's gobuf).
  [[nodiscard]] static Frame resume_at(Address pc, Address sp, std::optional<Address> bp,
                                       PcKind kind);

 private:
  const ModuleMap* map_;
};

}  // namespace culprit::binary
