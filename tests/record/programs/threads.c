// Four threads hand a token around under a mutex and a condition variable. The order of arrival
// depends on the scheduler, so the output tells whether a replay took the same turns.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { threads = 4, rounds = 25 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int token;
static unsigned long order;

static void *run(void *argument) {
  const int me = (int)(long)argument;
  for (int i = 0; i < rounds; ++i) {
    pthread_mutex_lock(&mutex);
    order = order * 31 + (unsigned long)me;
    while (token != me) pthread_cond_wait(&changed, &mutex);
    token = (token + 1) % threads;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

int main(void) {
  pthread_t all[threads];
  for (long i = 0; i < threads; ++i) pthread_create(&all[i], NULL, run, (void *)i);
  for (int i = 0; i < threads; ++i) pthread_join(all[i], NULL);
  printf("order %lx\n", order);
  fflush(stdout);
  abort();
}
