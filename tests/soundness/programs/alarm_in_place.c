// Timer signals in a loop without system calls. The loop's registers are the same at each turn; only
// memory tells the turns apart, and the handler adds what it finds there to the checksum.
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "state.h"

static volatile uint64_t cell;
static volatile int count;

static void on_alarm(int number) {
  mix(cell + (uint64_t)number);
  ++count;
}

int main(int argc, char **argv) {
  (void)argv;
  const int profile = argc > 1;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  sigaction(profile ? SIGPROF : SIGALRM, &action, NULL);
  const struct itimerval timer = {{0, 20000}, {0, 20000}};
  setitimer(profile ? ITIMER_PROF : ITIMER_REAL, &timer, NULL);
  while (count < 10) ++cell;
  mix(cell);
  finish();
}
