// Misuse of other allocators, preloaded by the script.
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "";
  char *volatile p = malloc(40);
  memset(p, 'a', 40);
  if (strcmp(name, "double_free") == 0) { free(p); free(p); }
  if (strcmp(name, "invalid_free") == 0) { int x; char *volatile q = (char *)&x; free(q); }
  return 77;
}
