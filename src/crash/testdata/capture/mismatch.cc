// new[] and free for Valgrind.
#include <cstdlib>
int main() {
  auto* p = new int[4];
  void* volatile q = p;
  free(q);
}
