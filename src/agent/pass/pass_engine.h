// One pass: watches the replayed tasks through the debug registers and reports to the driver.
//
// How rr 5.6 replays, as far as this relies on it (observed by tracing rr, and src/ReplaySession.cc
// of rr-debugger/rr):
// * One task runs at a time. The program's code is run with PTRACE_SYSEMU up to the next event;
// rr's own
//   injected system calls run with PTRACE_SINGLESTEP or PTRACE_CONT in the rr page at 0x70000000,
//   or with PTRACE_SYSCALL or PTRACE_CONT at the program's system call instruction. Only the former
//   counts here.
// * A system call entry is either a SIGTRAP|0x80 stop, or, where the code is read-only, an int3
// that rr
//   put on the instruction (rip then stands behind the int3, rax holds the number).
// * A system call's results are written from outside, between two runs; the registers are set just
// before
//   the task runs again.
// * A task ends by an injected exit (PTRACE_CONT in the rr page with rax = 60), whatever ended it
// when it
//   was recorded: an asynchronous fatal signal does not stop it.
// * exec clears the debug registers without an event, and rr itself clears DR7 now and then.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/pass/control_channel.h"
#include "agent/pass/pass_plan.h"
#include "agent/pass/step_recorder.h"
#include "agent/pass/task_table.h"
#include "agent/tracee_filter.h"

namespace culprit::agent {

class PassEngine final : public TraceeFilter {
 public:
  /// `channel` must outlive the engine.
  PassEngine(ControlChannel& channel, PassPlan plan);

  bool before_resume(pid_t tid, Resume resume) override;
  bool on_stop(pid_t tid, int status) override;

  /// rr is about to exit by itself: tells the driver what was found.
  void trace_ended();

 private:
  struct ProbeState {
    std::uint64_t matches = 0;
    std::uint64_t raw = 0;
    std::vector<wire::Hit> kept;  ///< a ring of keep_last entries
    std::size_t oldest = 0;
  };
  /// A change that no instruction of the resumed task made.
  struct KernelChange {
    Task* task = nullptr;  ///< whose doing it was
    wire::Kernel kernel;
    bool result_known = false;
  };

  // What a stop or a resume means.
  bool runs_program(const Task& task, Resume resume) const;
  /// A stop of a task that rr has not seen. True if the task runs again; else `status` is for rr.
  bool swallow(Task& task, int& status);
  /// Waits for a task that was resumed here, up to its next stop that is for rr.
  void run_on(Task& task);
  void on_program_resume(Task& task);
  void on_task_ending(Task& task);
  void on_clone(Task& task);
  bool on_trap(Task& task, int& status);
  void on_signal(Task& task, int signal);
  void on_syscall_entry(Task& task, Registers registers, bool by_breakpoint);

  // Going on.
  bool resume_again(Task& task);
  bool step(Task& task, const Registers& registers);
  /// Makes the task run through a repeated string instruction instead of stepping each iteration.
  bool run_repeat(Task& task, const Registers& registers);
  void end_repeat(Task& task);
  void arm_task(Task& task);

  // The heap's book.
  /// Sets breakpoints on the allocator's functions whose code has appeared.
  void watch_heap(Task& task);
  /// The task ran into a breakpoint of ours, its rip is behind it: writes the call down, executes the
  /// instruction under it, and goes on. As swallow().
  bool on_code_breakpoint(Task& task, Registers registers, int& status);
  void note_allocator_call(Task& task, const Registers& registers);
  void abandon_heap(Task& task);

  // Hits.
  void on_units(Task& task, std::uint64_t units, std::optional<Registers>& registers);
  void look_for_kernel_changes(Task& task);
  /// The call that `task` returns from may have written another process's memory
  /// (process_vm_writev, /proc/PID/mem): that is seen now, while it is known whose call it was.
  void look_where_it_wrote(Task& task);
  /// A pwrite whose offsets, taken as addresses, cover a write probe.
  bool reaches_probe(const Task& task) const;
  KernelChange attribute(Task& task, std::size_t probe);
  bool take_recorded_write(const Task& writer, const Space& space, std::size_t probe,
                           std::size_t& entry) const;
  /// `owner` is the process whose memory was touched, `task` who did it.
  void report(std::size_t probe, Task& task, std::int32_t owner, const Registers& registers,
              const WatchedValue& before, const WatchedValue& after,
              const std::optional<wire::Kernel>& kernel);
  void read_values(const Task& task, std::array<WatchedValue, wire::kMaxProbes>& out) const;
  WatchedValue read_value(const Task& task, const wire::Probe& probe) const;
  void report_map_event(Task& task, std::int64_t result);

  // Marks.
  bool reached(const std::optional<wire::Mark>& mark, wire::MarkKind kind, const Task& task) const;
  void begin_window(Task& task);
  void pass_marks(wire::MarkKind kind, Task& task, const Registers& registers);
  [[noreturn]] void end_here(Task& task, const Registers& registers);

  // Activations.
  /// The task stands at a hit of this probe: perhaps where a wanted activation begins.
  void enter_activation(std::size_t probe, Task& task, const Registers& registers);
  /// True if the window that runs cannot be the wanted one, or may not go on.
  bool activation_over(const Registers& registers);
  void leave_activation();

  // Talking.
  wire::Position position(const Task& task);
  void serve(Task& task, const Registers& registers);
  bool answer(const wire::FrameView& request, Task& task, const Registers& registers);
  Registers presented(const Task& task) const;
  void look_for_finish();
  void send_results(bool end_reached);
  /// The step window and the kept hits, once: before the driver looks around at the end mark.
  void send_collected();
  [[noreturn]] void fail(wire::Failed::Reason reason, const std::string& message);
  [[noreturn]] void leave();

  ControlChannel& channel_;
  wire::Spec spec_;
  TaskTable tasks_;
  std::vector<ProbeState> probes_;
  std::uint64_t dr7_ = 0;
  bool watches_memory_ = false;
  std::unordered_map<std::uint64_t, std::uint8_t> heap_functions_;  ///< by address: index in the spec

  std::vector<wire::KernelWrites::Entry> recorded_writes_;
  std::vector<bool> write_taken_;  ///< [entry * kMaxProbes + probe]
  /// By (thread, ordinal): indices into recorded_writes_.
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> writes_by_call_;

  std::uint64_t sequence_ = 0;
  std::uint64_t reported_ = 0;
  std::uint64_t unit_stops_ = 0;  ///< stops at debug registers, while there is a budget
  std::uint32_t unsent_checks_ = 0;
  Task* writing_elsewhere_ =
      nullptr;  ///< while the spaces that its call may have written are looked at
  Task* last_run_ = nullptr;
  Task* window_task_ = nullptr;
  StepRecorder steps_;
  std::optional<Registers> window_end_;
  std::size_t began_at_ = 0;            ///< of the activations: where the window began
  std::size_t inside_ = 0;              ///< the innermost of them that runs now
  std::uint64_t activation_steps_ = 0;  ///< of the windows thrown away
  bool end_pending_ = false;
  bool collected_sent_ = false;
  bool over_ = false;
};

}  // namespace culprit::agent
