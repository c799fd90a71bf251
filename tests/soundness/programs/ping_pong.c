// Two threads hand a turn to each other, each waiting for the other in a bare loop.
#include "state.h"

static volatile int turn;

static void *other(void *argument) {
  for (int i = 0; i < 40; ++i) {
    while (turn != 1) {
    }
    mix(2 * (uint64_t)i);
    turn = 0;
  }
  return argument;
}

int main(void) {
  const pthread_t thread = start_thread(other, NULL);
  for (int i = 0; i < 40; ++i) {
    while (turn != 0) {
    }
    mix(2 * (uint64_t)i + 1);
    turn = 1;
  }
  pthread_join(thread, NULL);
  finish();
}
