// Three threads under a spin lock of libc's and one of their own; a holder that sleeps makes the others
// spin for long. The order in which they get the lock is the checksum.
#include "state.h"

static pthread_spinlock_t libc_lock;
static volatile int own_lock;

static void lock_own(void) {
  while (__atomic_exchange_n(&own_lock, 1, __ATOMIC_ACQUIRE) != 0) {
    while (own_lock != 0) relax();
  }
}

static void *work(void *argument) {
  const uint64_t name = (uint64_t)(uintptr_t)argument;
  for (int i = 0; i < 12; ++i) {
    pthread_spin_lock(&libc_lock);
    mix(name * 100 + (uint64_t)i);
    if (i % 4 == 0) usleep(100);
    pthread_spin_unlock(&libc_lock);
    lock_own();
    mix(name * 10000 + (uint64_t)i);
    if (i % 4 == 1) usleep(100);
    __atomic_store_n(&own_lock, 0, __ATOMIC_RELEASE);
  }
  return argument;
}

int main(void) {
  pthread_spin_init(&libc_lock, PTHREAD_PROCESS_PRIVATE);
  pthread_t threads[3];
  for (uintptr_t i = 0; i < 3; ++i) threads[i] = start_thread(work, (void *)(i + 1));
  for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
  finish();
}
