// A queue of four threads with libc's mutex and condition variables.
#include "state.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int queue[8];
static int used;
static int done;

static void *produce(void *argument) {
  for (int i = 0; i < 25; ++i) {
    pthread_mutex_lock(&mutex);
    while (used == 8) pthread_cond_wait(&changed, &mutex);
    queue[used++] = i + 1000 * (int)(uintptr_t)argument;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
  }
  return argument;
}

static void *consume(void *argument) {
  for (;;) {
    pthread_mutex_lock(&mutex);
    while (used == 0 && done < 50) pthread_cond_wait(&changed, &mutex);
    if (used == 0) break;
    mix((uint64_t)queue[--used] + ((uint64_t)(uintptr_t)argument << 32));
    ++done;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
  }
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
  return argument;
}

int main(void) {
  pthread_t threads[4];
  for (uintptr_t i = 0; i < 4; ++i) threads[i] = start_thread(i < 2 ? produce : consume, (void *)i);
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  finish();
}
