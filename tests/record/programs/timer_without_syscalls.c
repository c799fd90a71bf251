// The same without a system call in the loop: cannot be recorded without hardware counters.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static volatile unsigned long progress;
static volatile int ticks;

static void on_tick(int number) {
  (void)number;
  ++ticks;
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_tick;
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval timer = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  while (ticks < 40) ++progress;
  printf("%lu\n", progress);
  fflush(stdout);
  abort();
}
