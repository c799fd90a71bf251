// Never ends: blocks in a system call, ignores what can be ignored.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  signal(SIGTERM, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  printf("hanging\n");
  fflush(stdout);
  for (;;) pause();
}
