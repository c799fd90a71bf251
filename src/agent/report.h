// What the agent tells the recorder, as lines of text on an inherited descriptor:
//
//   ready
//   refused <kind> <one line for the user>
//   spin <address> <file offset> <file>
//   landing <address>
//   stats held=<n> released=<n> dropped=<n> interrupts=<n> killed=<n> landed=<n>
//
// The last "stats" line counts. After "refused" rr is gone; the kinds are those of Refusal. "spin"
// comes before it and says where the thread was (hexadecimal; "-" for no file). "landing" comes
// before "refused learn": the address to count in the next recording.
#pragma once

#include <atomic>
#include <string_view>

namespace culprit::agent {

/// Counts of one recording.
struct Statistics {
  std::atomic<unsigned long> held{0};        ///< signals kept out of user code
  std::atomic<unsigned long> released{0};    ///< of these, sent again at a system call
  std::atomic<unsigned long> dropped{0};     ///< time-slice signals ignored in user code
  std::atomic<unsigned long> interrupts{0};  ///< PTRACE_INTERRUPTs not made, and stops ignored
  std::atomic<unsigned long> killed{0};      ///< tasks that SIGKILL ended in user code
  std::atomic<unsigned long> landed{0};      ///< events put at a landing in user code
};
extern Statistics g_statistics;

/// Takes the descriptor over (close-on-exec from now on); -1 for none: stderr gets refusals.
void open_report(int fd);

void report_line(std::string_view line);
void report_statistics();

enum class Refusal : unsigned char {
  hold,    ///< a signal waited too long
  starve,  ///< a thread kept the others from running; another run may be luckier
  learn,   ///< a landing was found: record again with it
  hot,     ///< a landing is executed too often to be counted
  other,
};

/// Ends the recording: reports `why`, kills the tasks (`kill_tasks` does what it can; the kernel
/// does the rest, since rr sets PTRACE_O_EXITKILL) and this process. Callable from any thread.
[[noreturn]] void refuse(Refusal kind, std::string_view why, void (*kill_tasks)());

}  // namespace culprit::agent
