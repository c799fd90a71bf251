// C++ names, namespaces, templates, bases, references.
#include <cstdint>

extern "C" typedef void (*callback_t)(void* context, void* where);

namespace geo {
namespace {
int hidden_counter = 3;
}
struct Base {
  std::int64_t id = 1;
};
template <typename T>
struct Box : Base {
  T value{};
  static int instances;
  explicit Box(T v) : value(v) { ++instances; }
  __attribute__((noinline)) int measure(callback_t callback, void* context, int unit) {
    callback(context, this);
    return static_cast<int>(value) * unit;
  }
};
template <typename T>
int Box<T>::instances = 0;

__attribute__((noinline)) int through(callback_t callback, void* context, Box<long>& box) {
  callback(context, &hidden_counter);
  return box.measure(callback, context, hidden_counter);
}
}  // namespace geo

extern "C" int run_shapes(callback_t callback, void* context) {
  geo::Box<long> box(42);
  const int result = geo::through(callback, context, box);
  return result + static_cast<int>(box.id);
}
