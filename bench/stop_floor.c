// What a hit of a data watchpoint costs at the least on this machine: a parent that does nothing but what
// no engine can leave out (stop, look which watchpoint it was, read the value, go on), on one processor.
// With "trapped" the child has rdtsc and cpuid trapped, as every program under rr has: where the processor
// is virtual, each switch to such a task and back leaves the virtual machine.
//
// Prints microseconds for one hit.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kHits = 20000, kArchSetCpuid = 0x1012, kSysemu = 31 };

static volatile long slot;

static double microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void *debug_register(int number) {
  return (void *)(offsetof(struct user, u_debugreg) + 8 * (size_t)number);
}

int main(int argc, char **argv) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  sched_setaffinity(0, sizeof one, &one);
  const pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    if (argc > 1 && strcmp(argv[1], "trapped") == 0) {
      prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
      syscall(SYS_arch_prctl, kArchSetCpuid, 0);  // refused where the processor cannot
    }
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    for (;;) slot++;
  }
  int status = 0;
  waitpid(child, &status, 0);
  // Write, eight bytes, local (Intel SDM vol. 3, 18.2.4).
  ptrace(PTRACE_POKEUSER, child, debug_register(0), &slot);
  ptrace(PTRACE_POKEUSER, child, debug_register(7), 1 | 1 << 16 | 2 << 18);
  const double start = microseconds();
  for (int i = 0; i < kHits; i++) {
    long value = 0;
    struct iovec local = {&value, sizeof value}, remote = {(void *)&slot, sizeof value};
    ptrace(PTRACE_PEEKUSER, child, debug_register(6), 0);
    ptrace(PTRACE_POKEUSER, child, debug_register(6), 0);
    process_vm_readv(child, &local, 1, &remote, 1, 0);
    ptrace((enum __ptrace_request)kSysemu, child, 0, 0);
    waitpid(child, &status, 0);
    if (!WIFSTOPPED(status)) return 1;
  }
  printf("%.2f\n", (microseconds() - start) / kHits);
  kill(child, SIGKILL);
  return 0;
}
