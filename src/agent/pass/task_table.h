// The replayed tasks: which recorded thread each one is, and what is known of its state.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "agent/pass/allocation_log.h"
#include "agent/protocol.h"
#include "agent/tracee_filter.h"
#include "base/registers.h"

namespace culprit::agent {

/// The watched bytes of one probe in one address space, as last seen.
struct WatchedValue {
  std::uint64_t value = 0;
  bool readable = false;
};

/// An address space. Shared by the threads of a process, and by a vfork child until its exec; copied by a
/// fork, as the memory is.
struct Space {
  std::array<WatchedValue, wire::kMaxProbes> values{};
  bool looked = false;  ///< values were read at least once

  std::optional<AllocationLog> heap;  ///< once an allocator's function was seen here
  bool heap_looked = false;           ///< the code was searched for them at least once
  bool heap_abandoned = false;        ///< too many calls: the breakpoints are gone
  /// Breakpoints of the pass itself in the code: the byte that was there.
  std::map<std::uint64_t, std::uint8_t> code_breakpoints;
};

/// One replayed task.
struct Task {
  pid_t real = 0;            ///< tid of the task that replays
  std::int32_t thread = 0;   ///< recorded tid
  std::int32_t process = 0;  ///< recorded thread group
  std::shared_ptr<Space> space;
  std::uint64_t syscalls = 0;  ///< program's system call entries so far
  std::uint32_t clones = 0;    ///< clones, forks and vforks so far
  bool ended = false;

  bool running_program = false;  ///< the last resume ran the program's own code
  Resume last_resume;

  /// Between a system call's entry and the next resume of the program in this task.
  bool in_syscall = false;
  bool entered_by_breakpoint = false;  ///< the kernel's registers still stand behind rr's int3
  bool rr_acted = false;               ///< rr made the task do something since the entry
  Registers entry;                     ///< as presented: rip past the instruction, rax = -ENOSYS
  std::array<std::uint64_t, 6> arguments{};

  bool armed = false;  ///< its debug registers were set at least once
  bool stepping = false;
  Registers step_from;          ///< registers before the instruction being stepped
  bool running_repeat = false;  ///< not stepped for the moment: see PassEngine::run_repeat()
};

/// All tasks by their real tid, with the recorded names given to them as they appear.
class TaskTable {
 public:
  /// The names: the first task is `first`; the n-th clone of a parent is that parent's n-th entry.
  void set_names(std::int32_t first, const std::vector<wire::Clones::Entry>& clones);

  /// The task, or null if it has not been seen.
  Task* find(pid_t real);
  /// The trace's first task, in the replay `real`.
  Task& add_first(pid_t real);
  /// A child made by `parent`. Null if the trace has no such child (the replay is not this
  /// trace's).
  Task* add_child(Task& parent, pid_t real);
  /// The living task that replays a recorded thread.
  Task* find_thread(std::int32_t thread);
  void end(Task& task);
  /// After a successful exec: the address space is the task's alone.
  void after_exec(Task& task);

  bool empty() const { return tasks_.empty(); }
  /// In order of creation, ended ones too.
  const std::vector<std::unique_ptr<Task>>& all() const { return tasks_; }

 private:
  std::vector<std::unique_ptr<Task>> tasks_;
  std::unordered_map<pid_t, Task*> by_real_;
  Task* last_ = nullptr;  ///< found last: nearly always the one asked for next
  std::int32_t first_ = 0;
  std::unordered_map<std::int32_t, std::vector<wire::Clones::Entry>> clones_;
};

}  // namespace culprit::agent
