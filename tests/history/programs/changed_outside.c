// A word that no instruction changed. The first argument: `branch` and `print` let a process that is not
// recorded write 102 over 2 (they tell it where through the FIFO of the second argument, and wait at the third),
// and then look, or print without looking; `robust` lets the kernel change a robust mutex whose owner ended.
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_mutex_t robust;

static void *end_as_owner(void *unused) {
  (void)unused;
  pthread_mutex_lock(&robust);
  return NULL;
}

static int kernels_change(void) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&robust, &attributes);
  pthread_t thread;
  pthread_create(&thread, NULL, end_as_owner, NULL);
  pthread_join(thread, NULL);
  printf("Corruption! %x\n", *(volatile unsigned *)&robust);
  fflush(stdout);
  return 1;
}

// Three digits of a value. rr compares the registers at each system call: where the value is another one, its replay
// gets to the end only if no branch depends on it and no register keeps it.
static __attribute__((noinline)) void spell(uint64_t value, char *digits) {
  digits[0] = (char)('0' + value / 100 % 10);
  digits[1] = (char)('0' + value / 10 % 10);
  digits[2] = (char)('0' + value % 10);
  __asm__ volatile(
      "xorl %%eax, %%eax\n xorl %%ecx, %%ecx\n xorl %%edx, %%edx\n xorl %%esi, %%esi\n"
      "xorl %%edi, %%edi\n xorl %%r8d, %%r8d\n xorl %%r9d, %%r9d\n xorl %%r10d, %%r10d\n"
      "xorl %%r11d, %%r11d" ::
          : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "robust") == 0) _exit(kernels_change());
  if (argc < 4) return 2;
  volatile uint64_t *page =
      mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *page = 102;
  *page = 2;
  char text[64];
  int size = snprintf(text, sizeof text, "%d %p\n", (int)getpid(), (void *)page);
  int out = open(argv[2], O_WRONLY);
  if (write(out, text, (size_t)size) != size) return 2;
  close(out);
  int in = open(argv[3], O_RDONLY);
  if (read(in, text, 1) != 1) return 2;
  close(in);
  if (strcmp(argv[1], "branch") == 0 && *page == 2) return 0;
  char line[] = "Corruption! 000\n";
  spell(*page, line + 12);
  if (write(1, line, sizeof line - 1) < 0) return 2;
  _exit(1);
}
