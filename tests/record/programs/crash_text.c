// Says that it crashed, and exits as if nothing was wrong.
#include <stdio.h>

int main(void) {
  fprintf(stderr, "fatal error: all is lost\n");
  return 0;
}
