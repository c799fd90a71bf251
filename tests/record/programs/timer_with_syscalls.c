// A timer ticks every millisecond while the program computes, with a system call now and then. The
// handler tells how far the computation is, so a signal that a replay lands elsewhere shows. The
// loop's registers recur (the counters live in memory): the right place cannot be told by registers.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static volatile unsigned long progress;
static volatile unsigned char cells[64];
static volatile int ticks;
static unsigned long seen[40];

static void on_tick(int number) {
  (void)number;
  if (ticks < 40) seen[ticks] = progress;
  ++ticks;
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_tick;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval timer = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  while (ticks < 40) {
    for (int i = 0; i < 64; ++i) ++cells[i];
    ++progress;
    if (progress % 5000 == 0) (void)getppid();
  }
  for (int i = 0; i < 40; ++i) printf("tick %d at %lu\n", i, seen[i]);
  fflush(stdout);
  abort();
}
