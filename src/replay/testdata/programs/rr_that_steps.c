/* rr, but `rr replay` single-steps the program from event $RR_STEPS_FROM on, as rr does near a moment
   that it finds by real ticks. Linked statically, so that LD_PRELOAD is for the rr that it becomes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  enum { most = 64 };
  char* words[most + 3];
  int count = 0;
  const char* from = getenv("RR_STEPS_FROM");
  if (argc < 2 || argc > most || from == NULL) return 127;
  words[count++] = argv[0];
  words[count++] = argv[1];
  if (strcmp(argv[1], "replay") == 0) {
    words[count++] = "-t";
    words[count++] = (char*)from;
  }
  for (int i = 2; i < argc; i++) words[count++] = argv[i];
  words[count] = NULL;
  execv(getenv("RR_THAT_STEPS"), words);
  return 127;
}
