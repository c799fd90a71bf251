// Memory that has several owners in its life. Each is printed as "NAME ADDRESS", for the test to ask about.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct node {
  struct node *next;
  long weight;
};
struct node table[4];
int ticks;

static volatile long *thread_slot;

static void *sleeper(void *argument) {
  volatile long on_stack = (long)argument;
  on_stack = 4321;  // LINE: thread stack
  thread_slot = &on_stack;
  return NULL;
}

static long *recycle(void) {
  long *first = malloc(72);  // LINE: first malloc
  *first = 11;               // LINE: first owner
  free(first);               // LINE: first free
  long *second = malloc(72);  // LINE: second malloc
  *second = 22;               // LINE: second owner
  return second;
}

static void remap(void) {
  char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);  // LINE: mmap
  page[0] = 1;          // LINE: mapped
  munmap(page, 8192);   // LINE: munmap
  char *again = mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);  // LINE: mmap again
  again[0] = 3;         // LINE: mapped again
  mprotect(again, 4096, PROT_READ);
  printf("mapping %p\n", (void *)again);
}

static void from_kernel(void) {
  static char buffer[16];
  int ends[2];
  if (pipe(ends) != 0 || write(ends[1], "ABCDEFGH", 8) != 8) abort();
  if (read(ends[0], buffer, 8) != 8) abort();  // LINE: read
  printf("kernel %p\n", (void *)buffer);
}

int main(int argc, char **argv) {
  (void)argv;
  setvbuf(stdout, NULL, _IONBF, 0);
  long *block = recycle();
  printf("block %p\n", (void *)block);
  remap();
  from_kernel();
  pthread_t thread;
  pthread_create(&thread, NULL, sleeper, (void *)1234L);  // LINE: start thread
  pthread_join(thread, NULL);
  printf("thread %p\n", (void *)thread_slot);
  for (int i = 0; i < 1000 + argc - 1; ++i) {
    ++ticks;  // LINE: tick
  }
  volatile struct node *list = &table[2];
  list->next = (struct node *)list;
  list->weight = 77;            // LINE: weight
  volatile long local = ticks;  // LINE: local
  if (local == 1000) abort();
  return 0;
}
