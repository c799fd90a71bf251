// What the programs of the soundness table share: a checksum that depends on the order of events, and
// threads with small stacks (each byte of memory is hashed at each event when rr verifies memory).
#pragma once

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile uint64_t checksum = 1469598103934665603u;

// Not atomic: called by one thread at a time only, or under a lock that is under test.
static inline void mix(uint64_t value) { checksum = (checksum ^ value) * 1099511628211u; }

static inline void relax(void) { __asm__ volatile("pause"); }

static inline pthread_t start_thread(void *(*run)(void *), void *argument) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  pthread_t thread;
  if (pthread_create(&thread, &attributes, run, argument) != 0) _exit(99);
  pthread_attr_destroy(&attributes);
  return thread;
}

// Each program ends here, with a failure, so that its recording is kept.
static inline _Noreturn void finish(void) {
  char line[64];
  const int n = snprintf(line, sizeof line, "checksum %016lx\n", (unsigned long)checksum);
  if (write(1, line, (size_t)n) != n) _exit(98);
  _exit(7);
}
