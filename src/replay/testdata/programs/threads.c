// Threads that write the slot themselves, and one whose read() does it while others run.
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

__attribute__((aligned(64))) volatile unsigned long slot;
static volatile unsigned long other;
static int ends[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *writer(void *argument) {
  for (int i = 0; i < 3; ++i) {
    pthread_mutex_lock(&mutex);
    slot = 0x1000 * (unsigned long)argument + (unsigned long)i;
    pthread_mutex_unlock(&mutex);
    getppid();
  }
  return 0;
}

static void *reader(void *argument) {
  (void)argument;
  return read(ends[0], (void *)&slot, 8) == 8 ? 0 : (void *)1;
}

int main(void) {
  printf("slot=%p\n", (void *)&slot);
  fflush(stdout);
  if (pipe(ends) != 0) return 1;
  pthread_t threads[3];
  for (unsigned long i = 0; i < 3; ++i) pthread_create(&threads[i], 0, writer, (void *)(i + 1));
  for (int i = 0; i < 3; ++i) pthread_join(threads[i], 0);
  pthread_t blocked;
  pthread_create(&blocked, 0, reader, 0);
  for (int i = 0; i < 20; ++i) getppid();  // the reader blocks meanwhile
  unsigned long value = 0xbeef;
  if (write(ends[1], &value, 8) != 8) return 1;
  for (int i = 0; i < 5; ++i) {
    getppid();
    other = slot;
  }
  pthread_join(blocked, 0);
  return 3;
}
