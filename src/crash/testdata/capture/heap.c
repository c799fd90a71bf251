// Misuse of glibc's heap, one case for each name; the abort text is what is captured.
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *volatile sink;
static char *block(size_t size) {
  char *p = malloc(size);
  memset(p, 'a', size);
  sink = p;
  return p;
}
// The size field of the chunk that p belongs to.
static size_t *header(void *p) { return (size_t *)p - 1; }
static void fill_tcache(size_t size) {
  void *p[7];
  for (int i = 0; i < 7; ++i) p[i] = malloc(size);
  for (int i = 0; i < 7; ++i) free(p[i]);
}
#define CASE(text) if (strcmp(name, text) == 0)

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "";
  char *volatile a, *volatile b, *volatile c, *volatile d;
  CASE("double_free_top") {  // a block that is too large for the caches, bordering on the top
    a = block(0x500); free(a); free(a);
  }
  CASE("double_free_notprev") {
    a = block(0x500); b = block(0x500); c = block(0x20); free(a); (void)b; (void)c; free(a);
  }
  CASE("double_free_fasttop") {
    a = malloc(0x20); b = malloc(0x20);
    fill_tcache(0x20); c = malloc(0x20); d = malloc(0x20); (void)c; (void)d;
    for (int i = 0; i < 5; ++i) sink = malloc(0x20);
    fill_tcache(0x20); free(a); free(a);
  }
  CASE("double_free_tcache") { a = block(0x20); free(a); free(a); }
  CASE("free_invalid_pointer") { a = block(0x40); free(a + 8); }
  CASE("free_invalid_size") { a = block(0x40); *header(a) = 0x8; free(a); }
  CASE("free_next_size_fast") {
    fill_tcache(0x20); for (int i = 0; i < 7; ++i) sink = malloc(0x20);
    a = block(0x20); b = block(0x20);
    void *p[7]; for (int i = 0; i < 7; ++i) p[i] = malloc(0x20);
    for (int i = 0; i < 7; ++i) free(p[i]);
    *header(b) = 0x1; free(a);
  }
  CASE("free_next_size_normal") { a = block(0x500); b = block(0x20); *header(b) = 0x1; free(a); }
  CASE("free_unaligned_tcache") {
    a = block(0x20); b = block(0x20); free(a); free(b);
    ((uintptr_t *)b)[1] = ((uintptr_t *)b)[1];  // the key stays
    *(uintptr_t *)b = ((uintptr_t)b >> 12) ^ ((uintptr_t)a + 4);
    c = (char *)malloc(0x20); d = (char *)malloc(0x20);
  }
  CASE("free_corrupted_unsorted") {
    a = block(0x500); b = block(0x20); c = block(0x500); d = block(0x20); free(a);
    ((void **)a)[1] = b; free(c);
  }
  CASE("free_overflow_prev_size") {
    a = block(0x500); b = block(0x508); c = block(0x500); d = block(0x20); free(a);
    ((size_t *)b)[-2] = 0x400; free(b);
  }
  CASE("malloc_corrupted_top") { a = block(0x18); *header(a + 0x20) = (size_t)-1; sink = malloc(0x500); }
  CASE("malloc_invalid_size_unsorted") {
    a = block(0x500); b = block(0x20); free(a); *header(a) = 0x8; sink = malloc(0x600);
  }
  CASE("malloc_next_size_unsorted") {
    a = block(0x500); b = block(0x20); free(a); *header(b) = 0x8; sink = malloc(0x600);
  }
  CASE("malloc_mismatching_next") {
    a = block(0x500); b = block(0x20); free(a); ((size_t *)b)[-2] = 0x111; sink = malloc(0x600);
  }
  CASE("malloc_unsorted_list") {
    a = block(0x500); b = block(0x20); free(a); ((void **)a)[0] = b; sink = malloc(0x600);
  }
  CASE("malloc_next_prev_inuse") {
    a = block(0x500); b = block(0x20); free(a); *header(b) |= 1; sink = malloc(0x600);
  }
  CASE("malloc_smallbin") {
    a = block(0x400 + 0x18); b = block(0x20); free(a); fill_tcache(0x418 - 0x8 + 0x8);
    fill_tcache(0x200); c = (char *)malloc(0x200); (void)c;
    char *p[8]; for (int i = 0; i < 8; ++i) p[i] = malloc(0x200);
    d = block(0x20); for (int i = 0; i < 8; ++i) free(p[i]);
    sink = malloc(0x800);
    for (int i = 0; i < 8; ++i) ((void **)p[i])[1] = a;
    for (int i = 0; i < 9; ++i) sink = malloc(0x200);
  }
  CASE("malloc_largebin") {
    a = block(0x600); b = block(0x20); c = block(0x610); d = block(0x20); free(a);
    sink = malloc(0x1000); ((void **)a)[2] = b; ((void **)a)[3] = b; free(c); sink = malloc(0x1000);
  }
  CASE("malloc_tcache_unaligned") {
    a = block(0x30); b = block(0x30); free(a); free(b);
    *(uintptr_t *)b = 0x4141414141414141; sink = malloc(0x30); sink = malloc(0x30);
  }
  CASE("malloc_fastbin_unaligned") {
    void *p[9]; for (int i = 0; i < 9; ++i) p[i] = malloc(0x30);
    for (int i = 0; i < 9; ++i) free(p[i]);
    *(uintptr_t *)p[8] = 0x4141414141414141;
    for (int i = 0; i < 9; ++i) sink = malloc(0x30);
  }
  CASE("malloc_memory_corruption_fast") {
    void *p[9]; for (int i = 0; i < 9; ++i) p[i] = malloc(0x30);
    for (int i = 0; i < 9; ++i) free(p[i]);
    *header(p[8]) = 0x91;
    for (int i = 0; i < 9; ++i) sink = malloc(0x30);
  }
  CASE("consolidate_invalid_size") {
    void *p[9]; for (int i = 0; i < 9; ++i) p[i] = malloc(0x30);
    for (int i = 0; i < 9; ++i) free(p[i]);
    *header(p[8]) = 0x91; sink = malloc(0x1000);
  }
  CASE("consolidate_unaligned") {
    void *p[9]; for (int i = 0; i < 9; ++i) p[i] = malloc(0x30);
    for (int i = 0; i < 9; ++i) free(p[i]);
    *(uintptr_t *)p[8] = 0x4141414141414141; sink = malloc(0x1000);
  }
  CASE("realloc_invalid_pointer") { a = block(0x40); sink = realloc(a + 8, 0x80); }
  CASE("realloc_invalid_old_size") { a = block(0x40); *header(a) = 0x8 | 1; sink = realloc(a, 0x80); }
  CASE("realloc_invalid_next_size") {
    a = block(0x40); b = block(0x40); *header(b) = 0x1; sink = realloc(a, 0x80);
  }
  CASE("munmap_invalid_pointer") { a = block(0x40); *header(a) = 0x1002; free(a); }
  CASE("mremap_invalid_pointer") { a = block(0x40); *header(a) = 0x1002; sink = realloc(a, 0x90000); }
  CASE("corrupted_size_prev_size") {
    a = block(0x500); b = block(0x500); c = block(0x20); free(a); *header(a) = 0x400 | 1; free(b);
  }
  CASE("corrupted_size_unlink") {
    a = block(0x500); b = block(0x500); c = block(0x500); d = block(0x20); free(b);
    ((size_t *)c)[-2] = 0x100; free(a);
  }
  CASE("corrupted_list") {
    a = block(0x500); b = block(0x500); c = block(0x500); d = block(0x20); free(b);
    ((void **)b)[0] = a; ((void **)b)[1] = a; free(c);
  }
  CASE("sysmalloc_assertion") { a = block(0x18); *header(a + 0x20) = 0x20; sink = malloc(0x2000); }
  CASE("overflow_next_header") {
    a = block(0x28); b = block(0x28); c = block(0x500); d = block(0x20);
    memset(a, 'A', 0x60); free(c);
  }
  fprintf(stderr, "%s did not abort\n", name);
  return 77;
}
