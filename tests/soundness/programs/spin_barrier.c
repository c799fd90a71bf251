// Four threads meet at a barrier that spins; between two meetings each one computes in place.
#include "state.h"

enum { thread_count = 4, rounds = 12 };
static volatile int arrived;
static volatile int sense;
static volatile uint64_t cells[thread_count];

static void meet(int *own_sense) {
  *own_sense = !*own_sense;
  if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == thread_count) {
    for (int i = 0; i < thread_count; ++i) mix(cells[i]);
    arrived = 0;
    sense = *own_sense;
  } else {
    while (sense != *own_sense) relax();
  }
}

static void *work(void *argument) {
  const int self = (int)(uintptr_t)argument;
  int own_sense = 0;
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < 200 * (self + 1); ++i) cells[self] = cells[self] * 31 + 7;
    meet(&own_sense);
    cells[self] += cells[(self + 1) % thread_count];
    meet(&own_sense);
  }
  return argument;
}

int main(void) {
  pthread_t threads[thread_count];
  for (uintptr_t i = 1; i < thread_count; ++i) threads[i] = start_thread(work, (void *)i);
  work(NULL);
  for (int i = 1; i < thread_count; ++i) pthread_join(threads[i], NULL);
  finish();
}
