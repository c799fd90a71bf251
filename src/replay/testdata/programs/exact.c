// Writers of three slots, then a crash: for exact ticks and rr's reverse execution. Linked statically: each
// instruction is single-stepped.
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile uint64_t by_store, by_rep, by_handler, unchanged, turns;

__attribute__((noinline)) static void store(uint64_t value) {
  // Turns of which all but one look the same to who has registers only.
  for (volatile int i = 0; i < 20; ++i) turns = i & 1;
  by_store = value;
}

__attribute__((noinline)) static void repeat(uint64_t value) {
  volatile uint64_t* to = &by_rep;
  uint64_t count = 1;
  __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(value) : "memory");
}

static void on_signal(int number) { by_handler = (uint64_t)number << 8; }

__attribute__((noinline)) static uint64_t pushed_flags(void) {
  uint64_t flags;
  __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
  return flags;
}

int main(void) {
  char line[300];
  const int n = snprintf(line, sizeof line, "by_store=%p by_rep=%p by_handler=%p unchanged=%p store=%p repeat=%p on_signal=%p\n",
                         (void*)&by_store, (void*)&by_rep, (void*)&by_handler, (void*)&unchanged, (void*)store, (void*)repeat,
                         (void*)on_signal);
  if (write(1, line, (size_t)n) != n) return 1;
  signal(SIGUSR1, on_signal);
  store(0x1111);
  if (unchanged == 0) unchanged = 0;  // one read, one store of what was there
  repeat(0x2222);
  raise(SIGUSR1);
  store(0x3333);
  store(0x4444);
  repeat(0x5555);
  // The trap flag of who steps must not be seen.
  if (pushed_flags() & 0x100) return 2;
  *(volatile char*)by_store = 1;
  return 0;
}
