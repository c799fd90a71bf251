// What the C library and the compiler's checks say: fortify, stack protector, assert, stdio.
#include <assert.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

static volatile int zero;
static volatile size_t forty = 40;
static char *volatile text = "a text that is much longer than the buffer";
static jmp_buf where;

__attribute__((noinline)) static void smash(void) {
  char small[8];
  char *volatile p = small;
  for (size_t i = 0; i < forty; ++i) p[i] = 'x';
}
__attribute__((noinline)) static int deep(int n) {
  volatile char frame[1024];
  frame[0] = (char)n;
  return n < 0 ? 0 : deep(n + 1) + frame[0];
}
__attribute__((noinline)) static void set(void) { if (setjmp(where)) puts("back"); }
#define CASE(text) if (strcmp(name, text) == 0)

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "";
  char small[8];
  CASE("smash") smash();
  CASE("strcpy") { strcpy(small, text); puts(small); }
  CASE("memcpy") { memcpy(small, text, forty); puts(small); }
  CASE("sprintf") { sprintf(small, "%s", text); puts(small); }
  CASE("read") { if (read(0, small, forty) < 0) return 1; puts(small); }
  CASE("fdset") { fd_set set; FD_ZERO(&set); FD_SET((int)forty * 100, &set); }
  CASE("format_n") {
    char format[8] = "%n";  // writable on purpose
    int n;
    printf(format, &n);
  }
  CASE("longjmp") { set(); longjmp(where, 1); }
  CASE("assert") { assert(zero == 1 && "the table is empty"); }
  CASE("segv") { *(volatile int *)(zero + 8L) = 1; }
  CASE("wild") { *(volatile int *)0x7f00deadbee8 = 1; }
  CASE("abort") abort();
  CASE("fpe") { return (int)(forty / (size_t)zero); }
  CASE("ill") __builtin_trap();
  CASE("bus") raise(SIGBUS);
  CASE("trap") __asm__ volatile("int3");
  CASE("stack_overflow") return deep(0);
  fprintf(stderr, "%s did not abort\n", name);
  return 77;
}
