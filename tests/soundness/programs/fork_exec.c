// Processes that wait for each other by spinning on shared memory; one of them after an exec.
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "state.h"

struct shared {
  volatile int turn;
  volatile uint64_t turns;
};

static int follow(struct shared *shared) {
  for (int i = 0; i < 10; ++i) {
    while (shared->turn != 2 * i + 1) ++shared->turns;
    shared->turn = 2 * i + 2;
  }
  return 0;
}

int main(int argc, char **argv) {
  const int fd = argc > 1 ? atoi(argv[1]) : memfd_create("shared", 0);
  if (fd < 0 || ftruncate(fd, 4096) != 0) return 95;
  struct shared *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (shared == MAP_FAILED) return 94;
  if (argc > 1) return follow(shared);
  for (int round = 0; round < 2; ++round) {
    shared->turn = 0;
    const pid_t child = fork();
    if (child == 0) {
      if (round == 0) _exit(follow(shared));
      char number[16];
      snprintf(number, sizeof number, "%d", fd);
      execl("/proc/self/exe", argv[0], number, (char *)NULL);
      _exit(93);
    }
    for (int i = 0; i < 10; ++i) {
      shared->turn = 2 * i + 1;
      while (shared->turn != 2 * i + 2) ++shared->turns;
      mix(shared->turns);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) return 92;
  }
  finish();
}
