// Ends with a message and a status in place of a signal.
#include <stdio.h>
#include <stdlib.h>

struct item {
  int id;
  struct item *next;
};
struct item table[4];

__attribute__((noinline)) int fill(int k) {
  table[k].id = 100 + k;  // LINE: fill
  return k;
}

int main(int argc, char **argv) {
  int status = argc > 1 ? atoi(argv[1]) : 3;
  for (int k = 0; k < 4; ++k) fill(k);
  int wrong = 0;
  if (table[3].id != 7) wrong = table[3].id;  // LINE: wrong
  fputs("bad ", stderr);
  fprintf(stderr, "item %d\n", wrong);
  return status;
}
