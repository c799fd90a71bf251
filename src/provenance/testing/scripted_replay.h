// For tests: a replay of an execution that is written down, and the image of a process without
// modules.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "provenance/process_image.h"
#include "replay/replay.h"

namespace culprit::provenance::testing {

inline constexpr ThreadId kThread{10};
inline constexpr ProcessId kProcess{10};

/// One thing that the recorded program did: a store, or that an instruction was about to execute.
struct Event {
  replay::ProbeKind kind = replay::ProbeKind::write;
  Address address;          ///< stored to, or executed
  std::uint8_t size = 8;    ///< of a store
  std::uint64_t value = 0;  ///< of a store
  Registers registers;      ///< after the store, or before the instruction
  ThreadId thread = kThread;
  ProcessId process = kProcess;
  std::uint64_t syscalls = 0;  ///< of the thread, so far
  std::optional<replay::Hit::Kernel> kernel;
};

/// `mov [r8], rax` has stored 8 bytes to `slot` and stands at `after`, with the stack at `sp`.
inline Event stored(Address slot, std::uint64_t value, Address after, Address sp) {
  Event event;
  event.address = slot;
  event.value = value;
  event.registers.rip = after.value;
  event.registers[Gpr::r8] = slot.value;
  event.registers[Gpr::rax] = value;
  event.registers[Gpr::rsp] = sp.value;
  return event;
}

/// Runs passes over a list of events as a real replay does: probes with all their filters, hits
/// that are kept, live stops with the memory of that moment, and end marks. Of marks it knows the
/// end of the trace and probe hits; windows and map events it does not know.
class ScriptedReplay : public replay::Replay {
 public:
  std::vector<Event> events;
  /// What the heap's book says at a stop whose newest event has this sequence number. Positions of
  /// event i have the sequence number i + 1.
  std::function<Result<replay::HeapBlocks>(Address, std::uint64_t sequence)> heap;
  /// The pass with this number (from 1) fails so, or ends behind so many events.
  std::map<std::size_t, Error> failing;
  std::map<std::size_t, std::size_t> ends_behind;
  /// The passes that were asked for.
  std::vector<replay::PassSpec> passes;
  /// Live stops of all passes, those at an end mark not counted.
  std::size_t live_stops = 0;

  /// Puts bytes into the memory before the first event.
  void load(Address at, std::span<const std::byte> bytes);

  [[nodiscard]] Result<replay::PassResult> run(const replay::PassSpec& spec,
                                               replay::PassObserver& observer) override;
  [[nodiscard]] std::string engine_name() const override { return "scripted"; }

 private:
  using Memory = std::map<std::uint64_t, std::array<std::byte, 4096>>;  ///< pages by address
  class Stop;
  static void store(Memory& memory, Address at, std::span<const std::byte> bytes);
  Memory initial_;
};

/// A process of which no module, no allocator and no mapping is known.
ProcessImage& bare_image();

}  // namespace culprit::provenance::testing
