// Bytes that change although nothing stores to them.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int memory_file(unsigned long value) {
  char page[4096];
  memset(page, 0, sizeof page);
  memcpy(page + 64, &value, 8);
  const int fd = (int)syscall(SYS_memfd_create, "page", 0);
  if (fd < 0 || write(fd, page, sizeof page) != (ssize_t)sizeof page) _exit(9);
  return fd;
}

int main(void) {
  // Far from where the kernel puts mappings: the loader has had nothing here before.
  char *page = mmap((void *)0x100000000000, 4096, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (page == MAP_FAILED) return 8;
  volatile unsigned long *slot = (volatile unsigned long *)(page + 64);
  printf("slot=%p\n", (void *)slot);
  fflush(stdout);
  const int fd = memory_file(0x1001);
  *slot = 0x2002;
  mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);  // 0x1001 shows
  *slot = 0x3003;
  // (rr 5.6 replays private mappings of files that may change as copies, so that MADV_DONTNEED on one
  // diverges: only anonymous memory here.)
  mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);  // 0
  *slot = 0x3033;
  madvise(page, 4096, MADV_DONTNEED);  // 0 again
  char *copy = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *(volatile unsigned long *)(copy + 64) = 0x4004;
  mremap(copy, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, page);  // 0x4004
  const pid_t parent = getpid();
  pid_t child = fork();
  if (child == 0) {
    unsigned long value = 0x5005;
    struct iovec local = {&value, 8}, remote = {page + 64, 8};
    _exit(process_vm_writev(parent, &local, 1, &remote, 1, 0) == 8 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) return 7;
  munmap(page, 4096);
  mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
  *slot = 0x6006;
  return 0;
}
