// Writers of four slots and calls of an allocator, then a crash: for exact ticks and rr's reverse
// execution. Each instruction is single-stepped, in each replay and in each run backwards, so that it
// does without a C library: libc's start alone is some ten thousand instructions.
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#define NOINLINE __attribute__((noinline))
#define USR1 10
#define RESTORER_FLAG 0x04000000UL /* SA_RESTORER, asm/signal.h */

static volatile uint64_t by_store, by_rep, by_handler, unchanged, turns;

static long call(long number, long a, long b, long c, long d) {
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
}

static NOINLINE void store(uint64_t value) {
  // Turns of which all but one look the same to who has registers only.
  for (volatile int i = 0; i < 20; ++i) turns = i & 1;
  by_store = value;
}

static NOINLINE void repeat(uint64_t value) {
  volatile uint64_t* to = &by_rep;
  uint64_t count = 1;
  __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(value) : "memory");
}

static NOINLINE void on_signal(int number) { by_handler = (uint64_t)number << 8; }

static NOINLINE uint64_t pushed_flags(void) {
  uint64_t flags;
  __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
  return flags;
}

// An allocator: blocks of one array, one behind the other, the last one to be released first.
static uint64_t heap[64];
static volatile size_t used;

NOINLINE void* take_block(size_t size) {
  void* block = &heap[used];
  used += (size + 7) / 8;
  return block;
}

NOINLINE void give_block(void* block) {
  if (block != NULL) used = (size_t)((uint64_t*)block - heap);
}

static char* append(char* to, const char* name, uintptr_t address) {
  while (*name != 0) *to++ = *name++;
  *to++ = '=', *to++ = '0', *to++ = 'x';
  for (int shift = 28; shift >= 0; shift -= 4) *to++ = "0123456789abcdef"[address >> shift & 15];
  *to++ = ' ';
  return to;
}

void restore(void);
__asm__("restore: movl $15, %eax\n\tsyscall"); /* rt_sigreturn */

static int run(void) {
  static char line[400];
  char* end = line;
#define TELL(name, what) end = append(end, name, (uintptr_t)(what))
  TELL("by_store", &by_store);
  TELL("by_rep", &by_rep);
  TELL("by_handler", &by_handler);
  TELL("unchanged", &unchanged);
  TELL("store", store);
  TELL("repeat", repeat);
  TELL("on_signal", on_signal);
  TELL("take_block", take_block);
  TELL("give_block", give_block);
  TELL("heap", heap);
#undef TELL
  end[-1] = '\n';
  if (call(SYS_write, 1, (long)line, end - line, 0) != end - line) return 1;
  const struct {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
  } action = {on_signal, RESTORER_FLAG, restore, 0};
  call(SYS_rt_sigaction, USR1, (long)&action, 0, 8);
  store(0x1111);
  if (unchanged == 0) unchanged = 0;  // one read, one store of what was there
  repeat(0x2222);
  call(SYS_kill, call(SYS_getpid, 0, 0, 0, 0), USR1, 0, 0);
  store(0x3333);
  volatile uint64_t* first = take_block(24);
  // Without a branch before or behind: what is before is not told by ticks.
  first[1] = 0x6666;
  give_block((void*)first);
  first[1] = 0x7777;
  volatile uint64_t* second = take_block(40);
  second[1] = 0x8888;
  store(0x4444);
  repeat(0x5555);
  // The trap flag of who steps must not be seen.
  if (pushed_flags() & 0x100) return 2;
  *(volatile char*)by_store = 1;
  return 0;
}

void begin(void) {
  call(SYS_exit_group, run(), 0, 0, 0);
}
/* The stack as the ABI wants it. */
__asm__(".globl _start\n_start: xorl %ebp, %ebp\n\tandq $-16, %rsp\n\tcall begin");
