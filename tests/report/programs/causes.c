// Two causes and two places to crash, in any combination: `causes CAUSE PLACE`.
//
// The causes store the same wrong constant in different functions; the places follow it in different
// functions. Crashes of one cause belong together, wherever the program noticed; crashes of two causes do
// not, though they look the same.
#include <stdio.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

struct item {
  long length;
  const char* text;
};

static struct item shelf[4];
static volatile int offset;  // keeps the compiler from looking through

static NOINLINE void stock(int at) { shelf[at + offset].text = (const char*)0x123456789000; }

static NOINLINE void restock(int at) { shelf[at + offset].text = (const char*)0x123456789000; }

static NOINLINE int first_letter(int at) { return shelf[at + offset].text[0]; }

static NOINLINE int last_letter(int at) { return shelf[at + offset].text[shelf[at + offset].length]; }

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: causes stock|restock first|last\n");
    return 2;
  }
  if (strcmp(argv[1], "stock") == 0) {
    stock(1);
  } else {
    restock(1);
  }
  const int letter = strcmp(argv[2], "first") == 0 ? first_letter(1) : last_letter(1);
  printf("%c\n", letter);
  return 0;
}
