// Fails in its n-th run: the file named first counts the runs, the second argument is n.
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  if (argc < 3) return 99;
  int runs = 0;
  FILE *file = fopen(argv[1], "r");
  if (file != NULL) {
    if (fscanf(file, "%d", &runs) != 1) return 99;
    fclose(file);
  }
  ++runs;
  file = fopen(argv[1], "w");
  if (file == NULL) return 99;
  fprintf(file, "%d", runs);
  fclose(file);
  printf("run %d\n", runs);
  return runs >= atoi(argv[2]) ? 42 : 0;
}
