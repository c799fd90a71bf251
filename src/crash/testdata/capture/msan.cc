// Uninitialised memory for MemorySanitizer.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {
volatile int four = 4;
[[gnu::noinline]] int choose(const int* p) {
  if (p[2] > 3) return 1;
  return 2;
}
struct Pair {
  int first;
  int second;
};
[[gnu::noinline]] void copy(int* to, const int* from) { to[2] = from[2] + 1; }
}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "stack") {
    int x[4];
    x[0] = four;
    return choose(x);
  }
  if (name == "heap") {
    auto* p = static_cast<int*>(malloc(16));
    return choose(p);
  }
  if (name == "freed") {
    auto* p = static_cast<int*>(malloc(16));
    memset(p, 0, 16);
    free(p);
    return choose(p);
  }
  if (name == "through") {
    int a[4];
    auto* b = static_cast<int*>(malloc(16));
    copy(b, a);
    return choose(b);
  }
  if (name == "write") {
    char bytes[8];
    bytes[0] = 'a';
    return static_cast<int>(write(1, bytes, sizeof bytes));
  }
  if (name == "strlen") {
    auto* p = static_cast<char*>(malloc(8));
    p[0] = 'x';
    return static_cast<int>(strlen(p));
  }
  if (name == "param") {
    Pair pair;
    pair.first = four;
    if (pair.second) puts("second");
    return 0;
  }
  if (name == "segv") {
    int* volatile p = nullptr;
    *p = 1;
  }
  fprintf(stderr, "%s did not fail\n", argv[1]);
  return 77;
}
