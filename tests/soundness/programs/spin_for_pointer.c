// A thread spins until another one has published a pointer, which is a bad one: the chain leads from
// the crash through the spin to the other thread.
#include "state.h"

struct box {
  long number;
};
static struct box *volatile published;
static struct box *volatile prepared;

static void *publish(void *argument) {
  prepared = (struct box *)0x123450;
  usleep(500);
  published = prepared;  // the writer
  return argument;
}

int main(void) {
  start_thread(publish, NULL);
  while (published == NULL) {
  }
  return (int)published->number;
}
