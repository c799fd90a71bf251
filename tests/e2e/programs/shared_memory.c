// A worker leaves its result in memory that both processes have mapped, at different addresses: it
// maps one page more of the file.
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define PAGE 4096

struct box {
  long ready;
  const char* name;
};

static NOINLINE void fill(struct box* box, long kind) {
  box->name = (const char*)(0x11000000L * kind);  // CULPRIT: store
  box->ready = 1;
}

static NOINLINE int use(const struct box* box) {
  return box->name[0];  // CULPRIT: crash
}

static void* map(int file, long from, long pages) {
  void* out = mmap(NULL, (size_t)(pages * PAGE), PROT_READ | PROT_WRITE, MAP_SHARED, file,
                   from * PAGE);
  if (out == MAP_FAILED) _exit(3);
  return out;
}

int main(void) {
  char path[] = "/tmp/culprit-shared-XXXXXX";
  const int file = mkstemp(path);
  if (file < 0 || unlink(path) != 0 || ftruncate(file, 2 * PAGE) != 0) return 2;
  struct box* box = map(file, 1, 1);
  const pid_t child = fork();
  if (child == 0) {
    fill((struct box*)((char*)map(file, 0, 2) + PAGE), 7);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  return use(box);
}
