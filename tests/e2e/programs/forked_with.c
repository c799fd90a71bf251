// A worker is forked with a bad pointer in a global, and uses it; its parent never does.
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static const char* name;

static NOINLINE void choose(long kind) {
  name = (const char*)(0x11000000L * kind);  // CULPRIT: store
}

static NOINLINE int work(void) {
  return name[0];  // CULPRIT: crash
}

int main(void) {
  choose(7);
  const pid_t child = fork();
  if (child == 0) {
    getppid();
    _exit(work());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status != 0;
}
