// A user's own LD_PRELOAD library: says, through an environment variable, that it is there.
#include <stdlib.h>

__attribute__((constructor)) static void loaded(void) { setenv("USER_PRELOAD_WAS_HERE", "yes", 1); }
