// The forward engine: each pass is one `rr replay -a` with the agent (src/agent/pass) preloaded
// into rr's supervisor. Works on traces made with software ticks and on those made with a PMU.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

#include "base/result.h"
#include "replay/replay.h"
#include "replay/trace_index.h"

namespace culprit::replay {

/// What a ForwardReplay needs to know.
struct ForwardOptions {
  std::filesystem::path trace_dir;
  RrCommand command;  ///< the agent is required
  /// The trace's index; loaded by open() if null. It names the threads in a pass (the replay's own
  /// tids differ from the recorded ones) and the system calls that wrote watched memory.
  std::shared_ptr<const TraceIndex> index;
  /// Deadline of loading the index, when open() has to.
  std::chrono::milliseconds index_deadline{60'000};
  /// Most hits that one pass keeps or passes on; beyond it the pass fails with bad_input, so that a
  /// hopeless probe (a loop counter) cannot run for hours. 0: no limit.
  std::uint64_t max_hits = 0;
  std::string ticks;  ///< for engine_name(): "exact"; empty: as `command` says
};

/// Hit::Kernel::syscall of a change that no system call made: the kernel's frame for a signal
/// handler (arguments[0] is then the signal), or, with all arguments zero, a store through another
/// mapping of shared memory, most likely by the process that ran last.
inline constexpr std::uint64_t kNoSyscall = ~std::uint64_t{0};

/// How this engine reads replay.h where that leaves a choice:
/// - Mark::syscall_entry stands on the system call instruction (rax = orig_rax = the number). The
///   end mark of a thread that is killed right after its call (abort) has the registers of its
///   return.
/// - A page that vanishes is a hit with value_after 0, never matched by a value filter; one that
///   appears is a hit whose value before is not known. The exec that maps the program is one.
/// - A recorded kernel write of the same bytes is a hit too (before == after).
/// - A step window shows each iteration of a short `rep`; of a long one the first two, and those
///   that hit a probe.
///
/// Replay by forward passes. run() may be called from several threads at once: each pass is its own
/// rr process. Holds no process between passes.
class ForwardReplay final : public Replay {
 public:
  /// Errors: not_found (no trace, agent or rr there), and those of TraceIndex::load.
  [[nodiscard]] static Result<std::unique_ptr<Replay>> open(ForwardOptions options);

  /// See Replay::run. The deadline covers the whole pass, observer calls included; when it passes,
  /// rr and all replayed tasks are killed and reaped, and the error is `timeout`.
  [[nodiscard]] Result<PassResult> run(const PassSpec& spec, PassObserver& observer) override;
  [[nodiscard]] std::string engine_name() const override;

  [[nodiscard]] const TraceIndex& index() const { return *options_.index; }

 private:
  explicit ForwardReplay(ForwardOptions options);
  ForwardOptions options_;
};

}  // namespace culprit::replay
