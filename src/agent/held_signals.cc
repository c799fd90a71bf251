#include "agent/held_signals.h"

namespace culprit::agent {

bool is_synchronous(const siginfo_t& info) {
  switch (info.si_signo) {
    case SIGBUS:
      return info.si_code > 0 && info.si_code != BUS_MCEERR_AO;
    case SIGSEGV:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS:
      return info.si_code > 0;
    default:
      return false;
  }
}

HeldSignals::Added HeldSignals::add(const siginfo_t& info) {
  if (info.si_signo < SIGRTMIN) {
    for (const siginfo_t& waiting : signals_) {
      if (waiting.si_signo == info.si_signo) return Added::coalesced;
    }
  }
  if (signals_.size() >= limit) return Added::full;
  signals_.push_back(info);
  return Added::queued;
}

siginfo_t HeldSignals::take_first() {
  const siginfo_t first = signals_.front();
  signals_.erase(signals_.begin());
  return first;
}

}  // namespace culprit::agent
