// Misuse of other allocators, preloaded by the script.
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "";
  char *volatile p = malloc(40);
  memset(p, 'a', 40);
  if (strcmp(name, "double_free") == 0) { free(p); free(p); }
  if (strcmp(name, "invalid_free") == 0) { int x; char *volatile q = (char *)&x; free(q); }
  if (strcmp(name, "free_inside") == 0) free(p + 8);
  if (strcmp(name, "too_large") == 0) { void *volatile q = malloc((size_t)1 << 60); return q == NULL ? 78 : 79; }
  return 77;
}
