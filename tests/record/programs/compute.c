// Computes alone for the given number of seconds, then exits with 3. The second argument is how many
// turns of its loop it makes between two system calls.
#include <stdlib.h>
#include <time.h>

static volatile unsigned long sink;

int main(int argc, char **argv) {
  const double seconds = argc > 1 ? atof(argv[1]) : 1.0;
  // The clock is only read now and then: under rr reading it costs a stop.
  const unsigned long turns = argc > 2 ? strtoul(argv[2], NULL, 0) : 200000000UL;
  const time_t start = time(NULL);
  do {
    for (unsigned long i = 0; i < turns; ++i) sink += i;
  } while ((double)(time(NULL) - start) < seconds);
  return 3;
}
