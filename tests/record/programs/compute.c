// Computes alone for the given number of seconds without a system call, then exits with 3.
#include <stdlib.h>
#include <time.h>

static volatile unsigned long sink;

int main(int argc, char **argv) {
  const double seconds = argc > 1 ? atof(argv[1]) : 1.0;
  // The clock is only read now and then: under rr reading it costs a stop.
  const time_t start = time(NULL);
  do {
    for (unsigned long i = 0; i < 200000000UL; ++i) sink += i;
  } while ((double)(time(NULL) - start) < seconds);
  return 3;
}
