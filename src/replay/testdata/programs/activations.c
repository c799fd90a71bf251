// The same functions are called at the same depth of the stack again and again; the last call
// stores.
#include <stdio.h>
#include <unistd.h>

static volatile unsigned long slot;
static volatile unsigned long done;

__attribute__((noinline)) void inner(int i) {
  for (volatile int turn = 0; turn < 10; ++turn) {
  }
  if (i == 7) slot = 7;
  __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void outer(int i) {
  for (volatile int turn = 0; turn < 40; ++turn) {
  }
  inner(2 * i);
  inner(2 * i + 1);
  done = (unsigned long)i;  // neither call of inner() is running any more
  __asm__ volatile("" ::: "memory");
}

int main(void) {
  printf("slot=%p done=%p inner=%p outer=%p\n", (void*)&slot, (void*)&done, (void*)inner,
         (void*)outer);
  fflush(stdout);
  for (int i = 0; i < 5; ++i) {
    if (i > 0) (void)getppid();
    outer(i);
  }
  return 0;
}
