// A thread that computes for long without a system call, while another one could run: no wait, and to
// be recorded all the same.
#include "state.h"

static void *other(void *argument) {
  for (int i = 0; i < 20; ++i) usleep(1000);
  return argument;
}

int main(void) {
  const pthread_t thread = start_thread(other, NULL);
  volatile uint64_t value = 1;
  for (uint64_t i = 0; i < 400000000u; ++i) value = value * 31 + i;
  mix(value);
  pthread_join(thread, NULL);
  finish();
}
