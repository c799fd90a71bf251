// A handled fault first, then a fatal one.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile int zero;

static void handler(int signal) {
  (void)signal;
  siglongjmp(back, 1);
}

__attribute__((noinline)) void crash_here(volatile int *p) { *p = 1; }

int main(void) {
  printf("crash_here=%p\n", (void *)crash_here);
  fflush(stdout);
  signal(SIGSEGV, handler);
  if (sigsetjmp(back, 1) == 0) crash_here((volatile int *)0x10);
  signal(SIGSEGV, SIG_DFL);
  getppid();
  zero += (int)__builtin_ia32_rdtsc() & 0;  // rr emulates it, by a SIGSEGV of its own
  crash_here((volatile int *)0x20);
  return 0;
}
