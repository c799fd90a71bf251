// Statuses that rr will get from its next wait, before the kernel is asked.
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

namespace culprit::agent {

/// First in, first out for each task. Used by the tracer's thread only.
class WaitQueue {
 public:
  struct Entry {
    pid_t tid = 0;
    int status = 0;
  };
  void push(pid_t tid, int status) { entries_.push_back({tid, status}); }
  bool empty() const { return entries_.empty(); }
  /// The oldest entry for `tid` (-1: for any task); taken out unless `keep`.
  std::optional<Entry> take(pid_t tid, bool keep);

 private:
  std::vector<Entry> entries_;
};

}  // namespace culprit::agent
