// A compressor-like loop: blocks of text are made and matched with a hash table, and each block is copied to
// the window by memcpy. Early on a pointer in the window's description is spoiled, some time later the whole
// window, 1 MiB, is copied with it, and at the very end the copy's pointer is followed.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))
enum { kBlock = 1 << 20, kHashes = 1 << 14 };

struct job {
  char name[24];
  const char* comment;
};

struct window {
  unsigned char text[kBlock];
  struct job job;
};

static uint32_t heads[kHashes];

static NOINLINE void produce(unsigned char* text, uint32_t seed) {
  uint32_t state = seed * 2654435761u + 1;
  for (int i = 0; i < kBlock; i++) {
    state = state * 1664525u + 1013904223u;
    text[i] = (unsigned char)("abcdefgh"[state >> 29]);
  }
}

static NOINLINE uint64_t compress(const unsigned char* text) {
  uint64_t matched = 0;
  memset(heads, 0, sizeof heads);
  for (uint32_t i = 0; i + 4 < kBlock; i++) {
    uint32_t word;
    memcpy(&word, text + i, 4);
    const uint32_t hash = (word * 2654435761u) >> 18;
    const uint32_t before = heads[hash];
    heads[hash] = i;
    uint32_t length = 0;
    while (length < 16 && i + length < kBlock && text[before + length] == text[i + length]) length++;
    if (length >= 4) matched += length;
  }
  return matched;
}

static NOINLINE void spoil(struct job* job, uint64_t value) {
  job->comment = (const char*)(uintptr_t)value;  // BAD
}

static NOINLINE size_t finish(const struct window* w) {
  return (size_t)w->job.comment[0];
}

int main(int argc, char** argv) {
  const uint32_t blocks = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100;
  struct window* now = calloc(1, sizeof *now);
  struct window* next = calloc(1, sizeof *next);
  struct window* kept = calloc(1, sizeof *kept);
  strcpy(now->job.name, "archive");
  now->job.comment = "no comment";
  uint64_t matched = 0;
  for (uint32_t i = 0; i < blocks; i++) {
    produce(now->text, i);
    matched += compress(now->text);
    if (i == blocks / 6) spoil(&now->job, 0x5eed5eed5eed);
    memcpy(next->text, now->text, sizeof next->text);
    if (i == 2 * (blocks / 5)) memcpy(kept, now, sizeof *kept);
  }
  printf("%llu\n", (unsigned long long)matched);
  fflush(stdout);
  return (int)finish(kept);
}
