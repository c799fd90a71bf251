#include "agent/perf_counters.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include <atomic>

#include "agent/kernel.h"

namespace culprit::agent {
namespace {

enum class Kind : unsigned char {
  none,
  self,
  self_transactional,
  ticks,     // of a task; the one that would interrupt it
  measured,  // counts the same event beside that one (PerfCounters.cc, fd_ticks_measure)
  other,
};

// rr's own limit of descriptors is far lower than this; beyond it a counter is refused.
constexpr int max_fd = 65536;
std::atomic<Kind> g_kind[max_fd];
std::atomic<pid_t> g_tid[max_fd];
std::atomic<bool> g_hardware{false};
TicksSource g_ticks;
// The event that counts ticks, without the transactional bits.
std::atomic<unsigned long long> g_ticks_event{0};

// rr's self tests run a loop of 500 conditional branches. One wants to see at least 500, the Xen
// test at most 500; with the IN_TXCP bit a reading of 0 means "not supported", which rr can handle
// (PerfCounters.cc, check_working_counters, check_for_xen_pmi_bug, check_for_kvm_in_txcp_bug).
constexpr unsigned long long self_test_branches = 500;

// IA32_PERFEVTSELx bits 32 and 33, IN_TX and IN_TXCP (Intel SDM vol. 3B, 20.3.6.5).
constexpr unsigned long long transactional_bits = 3ULL << 32;
constexpr unsigned long long in_transaction_bit = 1ULL << 32;

// A counter that never comes to the end of this period never sends a signal.
constexpr unsigned long long endless = 1ULL << 60;

Kind kind_of(int fd) {
  return fd >= 0 && fd < max_fd ? g_kind[fd].load(std::memory_order_acquire) : Kind::none;
}

}  // namespace

void set_ticks_source(TicksSource source) { g_ticks = source; }

void use_hardware_counters() { g_hardware.store(true, std::memory_order_release); }

bool must_replace(const perf_event_attr& attributes) {
  return !g_hardware.load(std::memory_order_acquire) && attributes.type != PERF_TYPE_SOFTWARE &&
         attributes.type != PERF_TYPE_TRACEPOINT && attributes.type != PERF_TYPE_BREAKPOINT;
}

long open_counter(const perf_event_attr& attributes, pid_t tid, int cpu, unsigned long flags,
                  pid_t* task_opened) {
  *task_opened = 0;
  perf_event_attr idle;
  memset(&idle, 0, sizeof idle);
  idle.size = sizeof idle;
  idle.type = PERF_TYPE_SOFTWARE;
  // A clock would start and cancel a timer of the kernel's at each switch to the task and from it,
  // which makes a stop of the task half as dear again; nothing here wants to know the time.
  idle.config = PERF_COUNT_SW_DUMMY;
  idle.exclude_kernel = 1;
  idle.exclude_guest = 1;
  idle.disabled = tid != 0;
  if (attributes.sample_period != 0) idle.sample_period = endless;
  long fd =
      kernel_call(SYS_perf_event_open, to_register(&idle), tid, cpu, -1, static_cast<long>(flags));
  // A task's counter is only ever named in calls that are answered here, so where the kernel
  // refuses events any descriptor will do.
  if (fd < 0 && tid != 0) fd = kernel_call(SYS_eventfd2, 0, EFD_CLOEXEC);
  if (fd < 0) return fd;
  if (fd >= max_fd) {
    kernel_call(SYS_close, fd);
    return -EMFILE;
  }
  Kind kind = Kind::other;
  if (tid == 0) {
    kind = (attributes.config & transactional_bits) != 0 ? Kind::self_transactional : Kind::self;
  } else if (attributes.sample_period != 0) {
    kind = Kind::ticks;
    *task_opened = tid;
    g_ticks_event.store(attributes.config & ~transactional_bits, std::memory_order_relaxed);
    if (g_ticks.reset != nullptr) g_ticks.reset(tid);
  } else if ((attributes.config & ~transactional_bits) ==
                 g_ticks_event.load(std::memory_order_relaxed) &&
             (attributes.config & in_transaction_bit) == 0) {
    kind = Kind::measured;
  }
  g_tid[fd].store(tid, std::memory_order_relaxed);
  g_kind[fd].store(kind, std::memory_order_release);
  if (kind == Kind::ticks && g_ticks.set_period != nullptr) {
    g_ticks.set_period(tid, static_cast<int>(fd), attributes.sample_period);
  }
  return fd;
}

bool read_counter(int fd, unsigned long long* value) {
  const Kind kind = kind_of(fd);
  if (kind == Kind::none) return false;
  *value = kind == Kind::self ? self_test_branches : 0;
  if (g_ticks.read != nullptr && (kind == Kind::ticks || kind == Kind::measured)) {
    *value = g_ticks.read(g_tid[fd].load(std::memory_order_relaxed));
  }
  return true;
}

bool control_counter(int fd, unsigned long request, std::optional<CounterChange>* change,
                     const void* argument) {
  const Kind kind = kind_of(fd);
  if (kind == Kind::none) return false;
  switch (request) {
    case PERF_EVENT_IOC_ENABLE:
    case PERF_EVENT_IOC_DISABLE:
      if (kind == Kind::ticks) {
        *change = CounterChange{g_tid[fd].load(std::memory_order_relaxed),
                                request == PERF_EVENT_IOC_ENABLE};
      }
      return true;
    case PERF_EVENT_IOC_RESET:
      if (kind == Kind::ticks && g_ticks.reset != nullptr) {
        g_ticks.reset(g_tid[fd].load(std::memory_order_relaxed));
      }
      return true;
    case PERF_EVENT_IOC_PERIOD:
      if (kind == Kind::ticks && g_ticks.set_period != nullptr && argument != nullptr) {
        unsigned long long period = 0;
        memcpy(&period, argument, sizeof period);
        g_ticks.set_period(g_tid[fd].load(std::memory_order_relaxed), fd, period);
      }
      return true;
    default:
      return false;
  }
}

void close_counter(int fd) {
  if (kind_of(fd) != Kind::none) g_kind[fd].store(Kind::none, std::memory_order_release);
}

}  // namespace culprit::agent
