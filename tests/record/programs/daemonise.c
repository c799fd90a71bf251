// Leaves a process behind, in a session of its own with the output still open, and fails.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
  if (fork() == 0) {
    setsid();
    if (fork() == 0) {
      for (;;) sleep(1000);
    }
    _exit(0);
  }
  usleep(50000);
  printf("leaving\n");
  fflush(stdout);
  return 9;
}
