// Bugs for AddressSanitizer.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

extern "C" void __asan_poison_memory_region(void const volatile*, std::size_t);

namespace {
int global_array[4];
char global_text[] = "static text";
volatile int four = 4;
volatile int minus = -1;
int* volatile kept;
struct Node {
  Node* next;
  int value;
};
[[gnu::noinline]] int use(Node* node) { return node->next->value; }
[[gnu::noinline]] Node* make() { return new Node{nullptr, 3}; }
[[gnu::noinline]] void drop(Node* node) { delete node; }
[[gnu::noinline]] int* local() {
  int x = four;
  kept = &x;
  return kept;
}
[[gnu::noinline]] int deep(int n) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(n);
  return deep(n + 1) + frame[0];
}
}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "uaf_read") {
    Node* node = make();
    node->next = node;
    drop(node);
    return use(node);
  }
  if (name == "uaf_write") {
    int* p = new int[10];
    delete[] p;
    p[3] = four;
  }
  if (name == "uaf_thread") {
    Node* node = make();
    std::thread(drop, node).join();
    std::thread([node] { node->value = four; }).join();
  }
  if (name == "heap_overflow_write") {
    auto* p = static_cast<int*>(malloc(4 * sizeof(int)));
    p[four] = 1;
  }
  if (name == "heap_underflow_read") {
    auto* p = static_cast<int*>(malloc(4 * sizeof(int)));
    return p[minus];
  }
  if (name == "heap_overflow_memcpy") {
    auto* p = static_cast<char*>(malloc(10));
    memcpy(p, "a longer text than that", 20 + four);
  }
  if (name == "heap_overflow_strcpy") {
    auto* p = static_cast<char*>(malloc(3));
    strcpy(p, global_text);
  }
  if (name == "stack_overflow_write") {
    int x[4] = {};
    kept = x;
    kept[four] = 1;
  }
  if (name == "stack_two_variables") {
    char first[10] = {};
    int second[4] = {};
    kept = second;
    memset(first, 0, static_cast<std::size_t>(four) * 3);
    return kept[0] + first[1];
  }
  if (name == "stack_underflow") {
    int x[4] = {};
    kept = x;
    return kept[minus];
  }
  if (name == "stack_return") return *local();
  if (name == "stack_scope") {
    {
      int inner[3] = {1, 2, 3};
      kept = inner;
    }
    return kept[0];
  }
  if (name == "dynamic_stack") {
    auto* p = static_cast<char*>(__builtin_alloca(static_cast<std::size_t>(four)));
    auto* volatile q = p;
    return q[four + 1];
  }
  if (name == "global_overflow") return global_array[four];
  if (name == "global_text") return global_text[four * 3];
  if (name == "double_free") {
    auto* p = static_cast<char*>(malloc(24));
    free(p);
    auto* volatile q = p;
    free(q);
  }
  if (name == "bad_free_stack") {
    int x = 0;
    kept = &x;
    free(kept);
  }
  if (name == "bad_free_offset") {
    auto* p = static_cast<char*>(malloc(24));
    auto* volatile q = p + 4;
    free(q);
  }
  if (name == "bad_free_global") {
    kept = global_array;
    free(kept);
  }
  if (name == "mismatch") {
    int* p = new int[3];
    kept = p;
    free(kept);
  }
  if (name == "new_delete_size") {
    struct Large {
      char bytes[64];
    };
    void* volatile p = new Node{};
    delete static_cast<Large*>(p);
  }
  if (name == "segv_null") {
    Node* volatile node = nullptr;
    return node->value;
  }
  if (name == "segv_wild") {
    *reinterpret_cast<volatile int*>(0x7f00deadbee0) = four;
  }
  if (name == "segv_noncanonical") {
    return *reinterpret_cast<volatile int*>(0x4141414141414141);
  }
  if (name == "segv_jump") {
    auto* volatile f = reinterpret_cast<void (*)()>(0x1234);
    f();
  }
  if (name == "fpe") return 3 / (four - 4);
  if (name == "ill") __builtin_trap();
  if (name == "abort") abort();
  if (name == "stack_exhausted") return deep(0);
  if (name == "negative_size") {
    char a[16] = {};
    auto* volatile p = a;
    memmove(p, p + 1, static_cast<std::size_t>(minus));
  }
  if (name == "overlap") {
    char a[32] = {};
    auto* volatile p = a;
    memcpy(p, p + 4, static_cast<std::size_t>(four) * 2);
  }
  if (name == "calloc_overflow") {
    void* volatile p = calloc(static_cast<std::size_t>(minus), static_cast<std::size_t>(four));
    return p != nullptr;
  }
  if (name == "too_big") {
    void* volatile p = malloc(static_cast<std::size_t>(minus));
    return p != nullptr;
  }
  if (name == "container") {
    std::vector<int> v(8);
    v.reserve(16);
    v.resize(8);
    int* volatile p = v.data();
    return p[10];
  }
  if (name == "use_after_poison") {
    auto* p = static_cast<char*>(malloc(64));
    __asan_poison_memory_region(p + 16, 16);
    return p[20];
  }
  std::fprintf(stderr, "%s did not fail\n", argv[1]);
  return 77;
}
