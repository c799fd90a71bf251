// A session is freed before a worker is forked, which uses it: the block's whole life is its parent's.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

struct session {
  long number;
  const char* user;
};

static NOINLINE struct session* open_session(long number) {
  struct session* session = malloc(sizeof *session);  // CULPRIT: allocation
  if (session == NULL) _exit(2);
  session->number = number;
  session->user = "somebody";
  return session;
}

static volatile int closed;

static NOINLINE void close_session(struct session* session) {
  free(session);  // CULPRIT: free
  closed++;
}

static NOINLINE int work(const struct session* session) {
  return session->user[0];  // CULPRIT: crash
}

int main(void) {
  struct session* session = open_session(7);
  close_session(session);
  const pid_t child = fork();
  if (child == 0) {
    getppid();
    _exit(work(session));
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status != 0;
}
