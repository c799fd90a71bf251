// A loop that copies single bytes, called by a function that only hands its arguments on.
__attribute__((noinline)) void copy_bytes(char *to, const char *from, long size) {
  for (long i = 0; i < size; ++i) {
    to[i] = from[i];
    __asm__ volatile("" ::: "memory");  // no memcpy is made of it
  }
}

__attribute__((noinline)) long hand_on(char *to, const char *from, long size) {
  copy_bytes(to, from, size);
  return size + 1;
}
