// Bounded spins with pause that get longer, and then sleep.
#include <sched.h>

#include "state.h"

static volatile int stage;
static volatile uint64_t pauses;

static void wait_for(int wanted) {
  unsigned length = 4;
  while (stage < wanted) {
    for (unsigned i = 0; i < length && stage < wanted; ++i) {
      relax();
      ++pauses;
    }
    if (length < 4096) {
      length *= 2;
    } else {
      usleep(50);
    }
  }
}

static void *advance(void *argument) {
  for (int i = 1; i <= 30; ++i) {
    for (volatile int work = 0; work < 3000 * (i % 5); ++work) {
    }
    stage = i;
    if (i % 3 == 0) sched_yield();
  }
  return argument;
}

int main(void) {
  const pthread_t thread = start_thread(advance, NULL);
  for (int i = 1; i <= 30; ++i) {
    wait_for(i);
    mix(pauses ^ (uint64_t)stage << 32);
  }
  pthread_join(thread, NULL);
  finish();
}
