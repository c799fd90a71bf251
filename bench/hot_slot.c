// A slot that is written N times (argument) before the write that matters, and then followed.
#include <stdio.h>
#include <stdlib.h>

#define NOINLINE __attribute__((noinline))

struct node {
  long value;
};
static struct node nodes[2];
static struct node* volatile slot;

static NOINLINE void turn(long times) {
  for (long i = 0; i < times; i++) slot = &nodes[i & 1];
}
static NOINLINE void spoil(void) { slot = (struct node*)0x4141414141414140; }
static NOINLINE long follow(void) { return slot->value; }

int main(int argc, char** argv) {
  turn(argc > 1 ? atol(argv[1]) : 100000);
  spoil();
  return (int)follow();
}
