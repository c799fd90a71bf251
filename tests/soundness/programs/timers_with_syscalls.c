// Real-time signals of timer_create, and SIGPROF, in a loop that makes system calls now and then.
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "state.h"

static volatile uint64_t cell;
static volatile int count;

static void on_timer(int number, siginfo_t *info, void *context) {
  (void)context;
  mix(cell * 3 + (uint64_t)number + (uint64_t)info->si_value.sival_int);
  ++count;
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_timer;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGRTMIN + 3, &action, NULL);
  sigaction(SIGPROF, &action, NULL);
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMIN + 3;
  event.sigev_value.sival_int = 77;
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return 97;
  const struct itimerspec period = {{0, 20000000}, {0, 20000000}};
  timer_settime(timer, 0, &period, NULL);
  const struct itimerval profile = {{0, 30000}, {0, 30000}};
  setitimer(ITIMER_PROF, &profile, NULL);
  while (count < 12) {
    for (int i = 0; i < 200000; ++i) ++cell;
    if (getppid() == 0) return 96;
  }
  timer_delete(timer);
  mix(cell);
  finish();
}
