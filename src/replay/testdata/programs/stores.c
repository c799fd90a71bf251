// Every way in which an instruction or a system call writes the slot, one after the other.
#include <emmintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((aligned(64))) unsigned char area[256];
#define SLOT ((volatile unsigned long *)(area + 64))

__attribute__((noinline)) void tick(int i) { __asm__ volatile("" ::"r"(i) : "memory"); }

int main(void) {
  printf("slot=%p tick=%p\n", (void *)SLOT, (void *)tick);
  fflush(stdout);
  tick(0);
  *SLOT = 0x1111;
  *SLOT = 0x1111;  // silent
  _mm_store_si128((__m128i *)(area + 64), _mm_set1_epi64x(0x2222));
  {
    // 16 bytes of zeros, byte by byte; 8 of them are the slot's, one store each.
    void *to = area + 60;
    const void *from = area + 128;
    unsigned long count = 16;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
  }
  {
    void *to = area + 64;
    unsigned long count = 2;
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(0x3333L) : "memory");
  }
  tick(1);
  int ends[2];
  unsigned long value = 0x4444;
  if (pipe(ends) != 0) return 1;
  for (int i = 0; i < 2; ++i) {  // the second read writes the same bytes again
    if (write(ends[1], &value, 8) != 8 || read(ends[0], (void *)SLOT, 8) != 8) return 1;
  }
  *(volatile unsigned *)(area + 70) = 0x55555555;  // two of its bytes are the slot's
  tick(2);
  {
    unsigned long flags;
    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags)::"memory");
    *SLOT = flags | 0x80000000;  // shows a trap flag that leaked
  }
  for (int i = 0; i < 5; ++i) tick(3 + i);
  pid_t child = fork();
  if (child == 0) {
    *SLOT = 0x8888;
    _exit(0);
  }
  waitpid(child, 0, 0);
  *SLOT = 0x9999;
  child = vfork();
  if (child == 0) {
    *SLOT = 0xaaaa;
    _exit(0);
  }
  waitpid(child, 0, 0);
  child = fork();
  if (child == 0) {
    execl("/bin/true", "true", (char *)0);
    _exit(127);
  }
  waitpid(child, 0, 0);
  abort();
}
