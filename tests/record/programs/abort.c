// Writes to both streams and aborts.
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  printf("out: before the abort\n");
  fflush(stdout);
  fprintf(stderr, "err: before the abort\n");
  abort();
}
