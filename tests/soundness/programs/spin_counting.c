// The waiting loop counts in memory with registers that are the same at each turn: a replay that stops
// one turn too early or too late has another count.
#include "state.h"

static volatile int flag;
static volatile uint64_t turns;
static volatile uint64_t history[16];

static void *raise_flag(void *argument) {
  for (int i = 1; i <= 16; ++i) {
    usleep(200);
    flag = i;
  }
  return argument;
}

int main(void) {
  const pthread_t thread = start_thread(raise_flag, NULL);
  for (int i = 1; i <= 16; ++i) {
    while (flag < i) ++turns;
    history[i - 1] = turns;
    mix(turns);
  }
  pthread_join(thread, NULL);
  for (int i = 0; i < 16; ++i) mix(history[i]);
  finish();
}
