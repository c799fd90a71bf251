// Twenty timers, each with a real-time signal and a number of its own, expire while the program
// computes, with a system call now and then. No signal may be lost, and the numbers must arrive in
// order with the siginfo of a timer.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { count = 20 };
static volatile int values[count];
static volatile int by_timer[count];
static volatile unsigned long places[count];
static volatile int received;
static volatile unsigned long progress;

static void on_queued(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)context;
  if (received < count) {
    values[received] = info->si_value.sival_int;
    by_timer[received] = info->si_code == SI_TIMER;
    places[received] = progress;
  }
  ++received;
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  action.sa_sigaction = on_queued;
  sigaction(SIGRTMIN + 3, &action, NULL);
  for (int i = 0; i < count; ++i) {
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMIN + 3;
    event.sigev_value.sival_int = 1000 + i;
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return 99;
    const struct itimerspec when = {{0, 0}, {0, 100000000 + i * 1000000}};
    timer_settime(timer, 0, &when, NULL);
  }
  while (received < count) {
    ++progress;
    if (progress % 1000000 == 0) (void)getppid();
  }
  for (int i = 0; i < count; ++i) {
    printf("value %d by timer %d at %lu\n", values[i], by_timer[i], places[i]);
  }
  fflush(stdout);
  abort();
}
