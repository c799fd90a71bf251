// SIGSEGV twice: once from a timer while the program computes (no fault: asynchronous), once by a
// bad load. The first one's place depends on time, so it must wait for a system call.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned long progress;
static volatile int sent;

static void on_fault(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)context;
  if (info->si_code > 0) {
    signal(SIGSEGV, SIG_DFL);
    return;
  }
  sent = 1;
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = on_fault;
  sigaction(SIGSEGV, &action, NULL);
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGSEGV;
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return 99;
  const struct itimerspec when = {{0, 0}, {0, 5000000}};
  timer_settime(timer, 0, &when, NULL);
  while (!sent) {
    ++progress;
    if (progress % 1000000 == 0) (void)getppid();
  }
  printf("sent at %lu\n", progress);
  fflush(stdout);
  return *(volatile int *)16;
}
