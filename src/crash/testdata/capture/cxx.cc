// C++ run-time failures: terminate, pure virtual calls, assertions of the standard library.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {
struct Base {
  Base() { hook(); }
  virtual ~Base() = default;
  void hook() { step(); }
  virtual void step() = 0;
};
struct Derived : Base {
  void step() override {}
};
struct Shape {
  virtual ~Shape() = default;
};
struct Round : Shape {};
struct Square : Shape {};
struct Failure {
  int code = 3;
};
struct Throws {
  ~Throws() noexcept(false) { throw std::logic_error("in a destructor"); }
};
volatile std::size_t nine = 9;
void no_throw() noexcept { throw std::out_of_range("not allowed here"); }
int forever(int n) noexcept(false) {
  static int once = forever(n + 1);
  return once;
}
}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  std::vector<int> numbers{3, 1, 2};
  if (name == "throw") throw std::runtime_error("no such table: orders");
  if (name == "throw_int") throw 42;
  if (name == "throw_cstring") throw "text";
  if (name == "throw_struct") throw Failure{};
  if (name == "throw_lines") throw std::runtime_error("first line\nsecond line");
  if (name == "bad_alloc") {
    auto* p = new char[nine << 58U];
    std::cout << static_cast<void*>(p);
  }
  if (name == "bad_function") std::function<void()>()();
  if (name == "bad_optional") return std::optional<int>().value();
  if (name == "at") return numbers.at(nine);
  if (name == "bad_cast") {
    Round round;
    Shape& shape = round;
    dynamic_cast<Square&>(shape);
  }
  if (name == "noexcept") no_throw();
  if (name == "unwinding") {
    Throws outer;
    throw std::runtime_error("the first one");
  }
  if (name == "rethrow_nothing") throw;
  if (name == "thread_joinable") std::thread thread([] {});
  if (name == "thread_throw") {
    std::thread thread([] { throw std::invalid_argument("in a thread"); });
    thread.join();
  }
  if (name == "pure") Derived derived;
  if (name == "recursive_init") return forever(0);
  if (name == "substr") return static_cast<int>(std::string("abc").substr(nine).size());
  if (name == "index") return numbers[nine];
  if (name == "front") return std::vector<int>().front();
  if (name == "string_index") return std::string_view("abc")[nine];
  if (name == "optional_deref") return *std::optional<int>();
  if (name == "unique_deref") return *std::unique_ptr<int>();
  if (name == "shared_deref") return *std::shared_ptr<int>();
  if (name == "span") return std::span<int>(numbers)[nine];
  if (name == "deque_pop") std::deque<int>().pop_back();
  if (name == "iterator") {
    auto it = numbers.begin();
    numbers.push_back(1);
    numbers.push_back(2);
    return *it;
  }
  if (name == "end") return *numbers.end();
  if (name == "map_end") return std::map<int, int>().begin()->second;
  if (name == "sort") {
    std::vector<int> many(40, 1);
    std::sort(many.begin(), many.end(), [](int a, int b) { return a <= b; });
  }
  if (name == "singular") {
    std::vector<int>::iterator it;
    return *it;
  }
  if (name == "foreign_erase") {
    std::vector<int> other{1};
    numbers.erase(other.begin());
  }
  if (name == "list_bounds") return numbers.end()[0];
  std::fprintf(stderr, "%s did not fail\n", argv[1]);
  return 77;
}
