#include "agent/wait_queue.h"

#include <algorithm>

namespace culprit::agent {

std::optional<WaitQueue::Entry> WaitQueue::take(pid_t tid, bool keep) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
    return tid == -1 || e.tid == tid;
  });
  if (found == entries_.end()) return std::nullopt;
  const Entry entry = *found;
  if (!keep) entries_.erase(found);
  return entry;
}

}  // namespace culprit::agent
