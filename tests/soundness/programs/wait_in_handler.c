// The same waiting function runs in a signal handler and under it, so that a landing is met again
// between a signal that was shown there and the return to it.
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "state.h"

static volatile uint64_t turns;
static volatile int alarms;
static volatile int pulse;
static volatile int stop;

static __attribute__((noinline)) void wait_for(volatile int *what, int wanted) {
  while (*what < wanted) ++turns;
}

static void *beat(void *argument) {
  while (!stop) {
    usleep(2000);
    ++pulse;
  }
  return argument;
}

static void on_alarm(int number) {
  (void)number;
  mix(turns);
  wait_for(&pulse, pulse + 2);
  mix(turns);
  ++alarms;
}

int main(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  const pthread_t thread = start_thread(beat, NULL);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  sigaction(SIGALRM, &action, NULL);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  const struct itimerval timer = {{0, 20000}, {0, 20000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  wait_for(&alarms, 5);
  const struct itimerval off = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &off, NULL);
  stop = 1;
  pthread_join(thread, NULL);
  mix(turns);
  finish();
}
