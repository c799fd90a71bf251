// Bugs for Valgrind's memcheck.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int four = 4;
static int *volatile kept;
static int table[4];
#define CASE(text) if (strcmp(name, text) == 0)
__attribute__((noinline)) static int read_at(int *p, int i) { return p[i]; }
__attribute__((noinline)) static void write_at(int *p, int i) { p[i] = 7; }
__attribute__((noinline)) static int *local(void) { int x[4]; kept = x; return kept; }
static void *thread(void *p) { write_at(p, 2); return NULL; }

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "";
  CASE("read_after_end") { int *p = malloc(16); return read_at(p, four) == 99; }
  CASE("write_before") { int *p = malloc(16); write_at(p, -1); }
  CASE("use_after_free") { int *p = malloc(16); free(p); return read_at(p, 1) == 99; }
  CASE("realloc_stale") { int *p = malloc(16); int *q = realloc(p, 4000); write_at(p, 1); free(q); }
  CASE("uninit_branch") { int *p = malloc(16); if (read_at(p, 0)) puts("set"); }
  CASE("uninit_stack") { int x[4]; if (read_at(x, 1)) puts("set"); }
  CASE("uninit_index") { int *p = malloc(16); return table[p[1] & 3]; }
  CASE("double_free") { int *p = malloc(16); free(p); kept = p; free(kept); }
  CASE("invalid_free") { int x = 0; kept = &x; free(kept); }
  CASE("free_inside") { int *p = malloc(16); kept = p + 1; free(kept); }
  CASE("write_syscall") { char *p = malloc(8); p[0] = 'x'; return write(1, p, 8) == 99; }
  CASE("overlap") { char a[32] = "0123456789"; char *volatile p = a; strcpy(p, p + 2); puts(a); }
  CASE("fishy") { void *volatile p = malloc(-(long)four); return p != NULL; }
  CASE("null") { int *volatile p = NULL; return *p; }
  CASE("wild") { *(volatile int *)0x7f00deadbee0 = 1; }
  CASE("jump") { void (*volatile f)(void) = (void (*)(void))0x1234; f(); }
  CASE("dead_stack") { return *local() == 99; }
  CASE("thread") { pthread_t t; int *p = malloc(16); free(p); pthread_create(&t, NULL, thread, p); pthread_join(t, NULL); }
  CASE("abort") { int *p = malloc(4); write_at(p, 1); abort(); }
  CASE("readonly") { char *volatile p = (char *)"constant"; p[0] = 'x'; }
  return 0;
}
