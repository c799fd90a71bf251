// A thread spins, without a system call, until another one has set a flag.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile int ready;

static void *set(void *argument) {
  usleep(1000);
  ready = 1;
  return argument;
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, set, NULL);
  while (!ready) {
  }
  pthread_join(thread, NULL);
  abort();
}
