// Compiled several times with other optimisation levels: ways in which programs move pointers.
// Each function takes (destination, source, n). NAME() gives each compilation its own symbols.
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define NAME(f) JOIN(VARIANT, _##f)
#define NOINLINE __attribute__((noinline))

struct S3 { unsigned char b[3]; };
struct S16 { void* a; void* b; };
struct S24 { uint64_t a, b; void* c; };
struct S40 { uint64_t v[5]; };
struct S72 { uint64_t v[9]; };
struct S136 { uint32_t v[34]; };

void NAME(struct3)(struct S3* d, const struct S3* s, long n) { (void)n; *d = *s; }
void NAME(struct16)(struct S16* d, const struct S16* s, long n) { (void)n; *d = *s; }
void NAME(struct24)(struct S24* d, const struct S24* s, long n) { (void)n; *d = *s; }
void NAME(struct40)(struct S40* d, const struct S40* s, long n) { (void)n; *d = *s; }
void NAME(struct72)(struct S72* d, const struct S72* s, long n) { (void)n; *d = *s; }
void NAME(struct136)(struct S136* d, const struct S136* s, long n) { (void)n; *d = *s; }

static NOINLINE struct S24 by_value(struct S24 x) { return x; }
void NAME(through_call)(struct S24* d, const struct S24* s, long n) { (void)n; *d = by_value(*s); }

static NOINLINE void* fetch(void* const* p) { return *p; }
void NAME(fetch)(void** d, void* const* s, long n) {
  for (long i = 0; i < n / 8; ++i) d[i] = fetch(s + i);
}

void NAME(memcpy)(void* d, const void* s, long n) { memcpy(d, s, (size_t)n); }
void NAME(memmove)(void* d, const void* s, long n) { memmove(d, s, (size_t)n); }
void NAME(memcpy32)(void* d, const void* s, long n) { (void)n; memcpy(d, s, 32); }

void NAME(byte_loop)(unsigned char* d, const unsigned char* s, long n) {
  for (long i = 0; i < n; ++i) d[i] = s[i];
}
void NAME(word_loop)(uint64_t* d, const uint64_t* s, long n) {
  for (long i = 0; i < n / 8; ++i) d[i] = s[i];
}
void NAME(reverse)(uint64_t* d, const uint64_t* s, long n) {
  for (long i = 0; i < n / 8; ++i) d[n / 8 - 1 - i] = s[i];
}
void NAME(swap_pairs)(uint64_t* d, const uint64_t* s, long n) {
  for (long i = 0; i + 1 < n / 8; i += 2) {
    uint64_t a = s[i];
    uint64_t b = s[i + 1];
    d[i] = b;
    d[i + 1] = a;
  }
  if (n / 8 % 2) d[n / 8 - 1] = s[n / 8 - 1];
}
void NAME(select)(uint64_t* d, const uint64_t* s, long n) {
  for (long i = 0; i < n / 8; ++i) {
    uint64_t a = s[i];
    uint64_t b = s[i ^ 1];
    d[i] = a > b ? a : b;
  }
}
void NAME(spill)(uint64_t* d, const uint64_t* s, long n) {
  volatile uint64_t local[16];
  for (long i = 0; i < n / 8; ++i) local[(i * 5) % 16] = s[i];
  for (long i = 0; i < n / 8; ++i) d[i] = local[(i * 5) % 16];
}
void NAME(sort)(uint64_t* d, const uint64_t* s, long n) {
  for (long i = 0; i < n / 8; ++i) d[i] = s[i];
  for (long i = 1; i < n / 8; ++i) {
    uint64_t x = d[i];
    long k = i;
    for (; k > 0 && d[k - 1] > x; --k) d[k] = d[k - 1];
    d[k] = x;
  }
}
static NOINLINE uint64_t recurse(const uint64_t* s, long depth) {
  volatile uint64_t keep = s[depth];
  if (depth > 0) {
    uint64_t below = recurse(s, depth - 1);
    if (depth % 2) return below;
  }
  return keep;
}
void NAME(recursion)(uint64_t* d, const uint64_t* s, long n) {
  for (long i = 0; i < n / 8; ++i) d[i] = recurse(s, i);
}
void NAME(exchange)(uint64_t* d, uint64_t* s, long n) {
  for (long i = 0; i < n / 8; ++i) d[i] = __atomic_exchange_n(&s[i], (uint64_t)i, __ATOMIC_SEQ_CST);
}
void NAME(compare_exchange)(uint64_t* d, const uint64_t* s, long n) {
  for (long i = 0; i < n / 8; ++i) {
    uint64_t old = __atomic_load_n(&d[i], __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&d[i], &old, s[i], 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
    }
  }
}

// Not copies: see the test for what is expected.
void NAME(xor_swap)(uint64_t* d, uint64_t* s, long n) {
  (void)n;
  *d ^= *s;
  *s ^= *d;
  *d ^= *s;
}
void NAME(untag)(uint64_t* d, const uint64_t* s, long n) { (void)n; *d = *s & ~(uint64_t)7; }
void NAME(offset)(char** d, char* const* s, long n) { *d = *s + n; }
