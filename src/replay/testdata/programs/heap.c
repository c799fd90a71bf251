// Blocks of the heap: the program keeps a book of its own and prints it at its end, in one line.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Through pointers, so that no compiler knows these functions.
static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static int (*volatile do_memalign)(void **, size_t, size_t) = posix_memalign;
static void (*volatile do_free)(void *) = free;

struct block {
  unsigned long start, size, allocated_by, freed_by;  // threads; 0: not freed
};
static struct block blocks[64];
static int count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static unsigned long thread(void) { return (unsigned long)syscall(SYS_gettid); }

static void *noted(void *p, size_t size) {
  blocks[count++] = (struct block){(unsigned long)p, size, thread(), 0};
  return p;
}

static void gone(void *p) {
  for (int i = count; i-- > 0;) {
    if (blocks[i].start == (unsigned long)p && blocks[i].freed_by == 0) {
      blocks[i].freed_by = thread();
      return;
    }
  }
  abort();
}

static void *make(size_t size) {
  pthread_mutex_lock(&mutex);
  void *p = noted(do_malloc(size), size);
  pthread_mutex_unlock(&mutex);
  return p;
}

static void *change(void *old, size_t size) {
  pthread_mutex_lock(&mutex);
  void *p = do_realloc(old, size);
  if (p != 0 || size == 0) gone(old);
  if (p != 0) noted(p, size);
  pthread_mutex_unlock(&mutex);
  return p;
}

static void drop(void *p) {
  pthread_mutex_lock(&mutex);
  do_free(p);
  gone(p);
  pthread_mutex_unlock(&mutex);
}

static void *worker(void *argument) {
  void **mine = argument;
  mine[1] = make(300);
  drop(mine[0]);  // main's
  for (size_t i = 1; i <= 3; ++i) drop(make(500 * i));
  return 0;
}

__attribute__((noinline)) void child_done(void) { __asm__ volatile(""); }
__attribute__((noinline)) void finish(void) { __asm__ volatile(""); }

int main(void) {
  unsigned long *shared =
      mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;

  // The same address twice.
  drop(make(48));
  void *kept = make(48);

  pthread_mutex_lock(&mutex);
  noted(do_calloc(7, 11), 77);
  void *aligned = 0;
  if (do_memalign(&aligned, 256, 1000) != 0) return 1;
  noted(aligned, 1000);
  pthread_mutex_unlock(&mutex);

  void *grown = change(change(make(24), 5000), 60000);
  if (change(grown, ~0UL / 4) != 0) return 1;  // fails
  void *emptied = make(72);
  change(emptied, 0);

  void *pairs[2][2];
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) pairs[i][0] = make(128 + 64 * (size_t)i);
  for (int i = 0; i < 2; ++i) pthread_create(&threads[i], 0, worker, pairs[i]);
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], 0);
  drop(pairs[1][1]);  // a thread's that has ended

  // A store while the block lives, and one after that; far enough inside for the allocator's own.
  volatile unsigned long *slot = (unsigned long *)make(800) + 50;
  *slot = 0x1111;
  drop((void *)(slot - 50));
  *slot = 0x2222;

  pid_t child = fork();
  if (child == 0) {
    do_free(kept);
    shared[0] = (unsigned long)do_malloc(48);
    shared[1] = (unsigned long)do_malloc(3000);
    child_done();
    _exit(0);
  }
  if (child < 0 || waitpid(child, 0, 0) != child) return 1;
  void *last = make(3000);
  finish();

  static char line[16384];
  size_t used = 0;
#define PUT(...) used += (size_t)snprintf(line + used, sizeof line - used, __VA_ARGS__)
#define PUT_FUNCTION(name, pointer)                            \
  do {                                                         \
    unsigned long code;                                        \
    memcpy(&code, (const void *)(pointer), sizeof code);       \
    PUT(#name "=%p " #name "_code=%#lx ", (void *)(pointer), code); \
  } while (0)
  PUT_FUNCTION(malloc, do_malloc);
  PUT_FUNCTION(calloc, do_calloc);
  PUT_FUNCTION(realloc, do_realloc);
  PUT_FUNCTION(memalign, do_memalign);
  PUT_FUNCTION(free, do_free);
  PUT("finish=%p child_done=%p slot=%p kept=%p last=%p ", (void *)finish, (void *)child_done,
      (void *)slot, kept, last);
  PUT("child=%#x child_small=%#lx child_large=%#lx ", (unsigned)child, shared[0], shared[1]);
  for (int i = 0; i < count; ++i) {
    PUT("start%d=%#lx size%d=%#lx by%d=%#lx freed%d=%#lx ", i, blocks[i].start, i, blocks[i].size,
        i, blocks[i].allocated_by, i, blocks[i].freed_by);
  }
  line[used - 1] = '\n';
  return write(1, line, used) == (ssize_t)used ? 0 : 1;
}
