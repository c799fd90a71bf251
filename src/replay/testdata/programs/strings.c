// Long string instructions over the slot.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((aligned(64))) unsigned char target[200000];
static unsigned char source[200000];

__attribute__((noinline)) void begin(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void end(void) { __asm__ volatile("" ::: "memory"); }

int main(void) {
  for (unsigned i = 0; i < sizeof source; ++i) source[i] = (unsigned char)(i * 7);
  printf("slot=%p begin=%p end=%p\n", (void *)(target + 100000), (void *)begin, (void *)end);
  fflush(stdout);
  begin();
  void *to = target;
  const void *from = source;
  unsigned long count = sizeof target;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
  to = target;
  count = sizeof target / 8;
  __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(0x77L) : "memory");
  end();
  getppid();
  return 1;
}
