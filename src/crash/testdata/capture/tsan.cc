// Races and misuse of locks for ThreadSanitizer.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <thread>

namespace {
int counter;
std::atomic<int> flag;
[[gnu::noinline]] void increment() { ++counter; }
[[gnu::noinline]] void write_to(long* p) { *p = 7; }
[[gnu::noinline]] long read_from(const long* p) { return *p; }
struct Base {
  virtual ~Base() { sleep(1); }
  virtual void step() {}
};
struct Derived : Base {
  ~Derived() override { sleep(1); }
  void step() override { ++counter; }
};
void handler(int) { free(malloc(10)); }
}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "global") {
    std::thread other(increment);
    increment();
    other.join();
  }
  if (name == "heap") {
    auto* p = new long(1);
    std::thread other(write_to, p);
    sleep(1);
    const long value = read_from(p);
    other.join();
    return value == 99;
  }
  if (name == "stack") {
    long local = 1;
    std::thread other(write_to, &local);
    sleep(1);
    local = 2;
    other.join();
    return local == 99;
  }
  if (name == "uaf") {
    auto* p = new long(1);
    std::thread other([p] {
      sleep(1);
      write_to(p);
    });
    delete p;
    other.join();
  }
  if (name == "free_race") {
    auto* p = static_cast<long*>(malloc(64));
    std::thread other(write_to, p);
    sleep(1);
    free(p);
    other.join();
  }
  if (name == "mutex") {
    std::mutex first;
    std::mutex second;
    std::thread other([&] {
      std::scoped_lock lock(first);
      increment();
    });
    {
      std::scoped_lock lock(second);
      increment();
    }
    other.join();
  }
  if (name == "deadlock") {
    std::mutex first;
    std::mutex second;
    first.lock();
    second.lock();
    second.unlock();
    first.unlock();
    second.lock();
    first.lock();
    first.unlock();
    second.unlock();
  }
  if (name == "unlock") {
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_unlock(&m);
  }
  if (name == "destroy_locked") {
    auto* m = new pthread_mutex_t;
    pthread_mutex_init(m, nullptr);
    pthread_mutex_lock(m);
    pthread_mutex_destroy(m);
  }
  if (name == "leak") {
    pthread_t thread;
    pthread_create(
        &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr);
    sleep(1);
  }
  if (name == "vptr") {
    Base* p = new Derived;
    std::thread other([p] { p->step(); });
    delete p;
    other.join();
  }
  if (name == "segv") {
    int* volatile p = nullptr;
    *p = 1;
  }
  return 0;
}
