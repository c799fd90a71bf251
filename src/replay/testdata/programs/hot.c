// A slot written again and again.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((aligned(64))) volatile unsigned long slot;
volatile unsigned long quiet;

int main(int argc, char **argv) {
  const unsigned long count = argc > 1 ? strtoul(argv[1], 0, 10) : 1000;
  printf("slot=%p quiet=%p\n", (void *)&slot, (void *)&quiet);
  fflush(stdout);
  getppid();
  for (unsigned long i = 1; i <= count; ++i) slot = i;
  getppid();
  return 1;
}
