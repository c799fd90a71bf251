// Undefined behaviour for UndefinedBehaviorSanitizer; each case goes on after its report.
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {
struct Animal {
  virtual ~Animal() = default;
  virtual int legs() { return 4; }
  int age = 1;
};
struct Bird : Animal {
  int legs() override { return 2; }
  int wings = 2;
};
struct Plain {
  int a;
  int b;
};
volatile int four = 4;
volatile int zero = 0;
volatile double huge = 1e30;
enum class Color { red, green };
[[gnu::noinline]] int missing(int x) {
  if (x > 10) return 1;
}
[[gnu::noinline]] void not_null(char*) __attribute__((nonnull(1)));
void not_null(char*) {}
[[gnu::noinline]] __attribute__((returns_nonnull)) void* returns() {
  return reinterpret_cast<void*>(static_cast<std::intptr_t>(zero));
}
void other(int) {}
}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  volatile int result = 0;
  char buffer[32] = {};
  if (name == "overflow") result = INT_MAX - 4 + four * 2;
  if (name == "negate") result = -(INT_MIN + zero);
  if (name == "divide") result = four / zero;
  if (name == "shift") result = 1 << (four * 10);
  if (name == "shift_negative") result = 1 << -four;
  if (name == "index") {
    int x[4] = {};
    result = x[four];
  }
  if (name == "null_load") {
    int* volatile p = nullptr;
    result = *p;
  }
  if (name == "null_member") {
    Plain* volatile p = nullptr;
    result = p->b;
  }
  if (name == "misaligned") {
    auto* p = reinterpret_cast<int*>(buffer + 1 + zero);
    result = *p;
  }
  if (name == "misaligned_store") {
    auto* p = reinterpret_cast<std::uint64_t*>(buffer + 3 + zero);
    *p = 1;
  }
  if (name == "bool") {
    bool b = false;
    memset(&b, 3, 1);
    result = b;
  }
  if (name == "float") result = static_cast<int>(huge);
  if (name == "unreachable") {
    if (four == 4) __builtin_unreachable();
  }
  if (name == "missing_return") result = missing(four);
  if (name == "nonnull") not_null(reinterpret_cast<char*>(static_cast<std::intptr_t>(zero)));
  if (name == "returns_nonnull") result = returns() == nullptr;
  if (name == "vla") {
    int n = -four;
    int x[n];
    result = x[0];
  }
  if (name == "vptr") {
    auto* a = new Animal;
    Animal* volatile p = a;
    result = static_cast<Bird*>(p)->wings;
  }
  if (name == "vptr_call") {
    auto* p = reinterpret_cast<Animal*>(calloc(1, sizeof(Animal)));
    result = p->legs();
  }
  if (name == "pointer_overflow") {
    char* volatile p = buffer;
    char* q = p + static_cast<std::size_t>(PTRDIFF_MAX) * 2;
    result = q == p;
  }
  if (name == "null_offset") {
    char* volatile p = nullptr;
    char* q = p + four;
    result = q != nullptr;
  }
  if (name == "function") {
    auto* volatile f = reinterpret_cast<int (*)(char*)>(&other);
    result = f(buffer);
  }
  if (name == "segv") {
    int* volatile p = reinterpret_cast<int*>(0x7f00deadbee0);
    *p = 1;
  }
  return 3 + (result == 99);
}
