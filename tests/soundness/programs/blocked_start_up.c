// As OCaml 5 starts a domain: all signals are blocked while the new thread is created, and its parent
// spins until it has come up.
#include <signal.h>

#include "state.h"

static volatile int up;
static volatile int down;
static volatile uint64_t turns;

static void *domain(void *argument) {
  for (volatile int work = 0; work < 20000; ++work) {
  }
  const int name = (int)(uintptr_t)argument;
  up = name;
  while (down < name) {
    relax();
    ++turns;
  }
  mix(turns);
  return argument;
}

int main(void) {
  sigset_t all;
  sigset_t old;
  sigfillset(&all);
  for (int i = 1; i <= 6; ++i) {
    sigprocmask(SIG_BLOCK, &all, &old);
    const pthread_t thread = start_thread(domain, (void *)(uintptr_t)i);
    while (up < i) {
      relax();
      ++turns;
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    mix(turns);
    down = i;
    pthread_join(thread, NULL);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    mix((uint64_t)sigismember(&now, SIGTRAP));
  }
  finish();
}
