// The asynchronous signals of one task that wait for a place where they may land.
#pragma once

#include <signal.h>

#include <vector>

namespace culprit::agent {

/// Can this signal only have been raised by the instruction at which the task stopped? Then it comes
/// again at the same place in a replay and may land anywhere. The fault signals with a positive
/// si_code are of this kind (sigaction(2)); the same numbers sent by kill, tgkill or a timer are
/// not, nor is a memory error found in passing (BUS_MCEERR_AO).
bool is_synchronous(const siginfo_t& info);

/// A queue with the kernel's rules: a standard signal waits at most once, a real-time signal is
/// never lost.
class HeldSignals {
 public:
  /// The most real-time signals that wait for one task. The kernel's own limit (RLIMIT_SIGPENDING)
  /// is of thousands; a program that gets so many in one stretch of computation is better refused.
  static constexpr std::size_t limit = 256;

  enum class Added { queued, coalesced, full };
  Added add(const siginfo_t& info);

  bool empty() const { return signals_.empty(); }
  /// In the order of arrival.
  const std::vector<siginfo_t>& all() const { return signals_; }
  /// Takes the oldest one out; not on an empty queue.
  siginfo_t take_first();
  void clear() { signals_.clear(); }

 private:
  std::vector<siginfo_t> signals_;
};

}  // namespace culprit::agent
