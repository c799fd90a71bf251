// Timer signals while long string instructions and nested loops run over the same memory.
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "state.h"

static volatile int count;
static unsigned char from[4096];
static unsigned char to[4096];

static void on_alarm(int number) {
  mix(to[number] + 256u * to[2048]);
  ++count;
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval timer = {{0, 20000}, {0, 20000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  while (count < 8) {
    for (int i = 0; i < 4; ++i) {
      void *source = from;
      void *target = to;
      unsigned long length = sizeof to;
      __asm__ volatile("rep movsb" : "+S"(source), "+D"(target), "+c"(length)::"memory");
      ++from[2048];
    }
    ++from[SIGALRM];
  }
  finish();
}
