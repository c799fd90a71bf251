#include "agent/perf_counters.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/kernel.h"

namespace culprit::agent {
namespace {

perf_event_attr branches(std::uint64_t period) {
  perf_event_attr out{};
  out.size = sizeof out;
  out.type = PERF_TYPE_RAW;
  out.config = 0x5101c4;  // rr 5.6: conditional branches retired, Skylake
  out.sample_period = period;
  return out;
}

TEST(PerfCounters, ReplacesHardwareEventsOnly) {
  perf_event_attr attributes = branches(0);
  EXPECT_TRUE(must_replace(attributes));
  attributes.type = PERF_TYPE_HARDWARE;
  EXPECT_TRUE(must_replace(attributes));
  for (const std::uint32_t type : {PERF_TYPE_SOFTWARE, PERF_TYPE_TRACEPOINT, PERF_TYPE_BREAKPOINT}) {
    attributes.type = type;
    EXPECT_FALSE(must_replace(attributes));
  }
}

TEST(PerfCounters, AnswersForWhatItReplaced) {
  pid_t task = 0;
  const long fd = open_counter(branches(1000), getpid(), -1, 0, &task);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(task, getpid());
  unsigned long long value = 7;
  EXPECT_TRUE(read_counter(static_cast<int>(fd), &value));
  EXPECT_EQ(value, 0u);
  std::optional<CounterChange> change;
  EXPECT_TRUE(control_counter(static_cast<int>(fd), PERF_EVENT_IOC_DISABLE, &change));
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(change->tid, getpid());
  EXPECT_FALSE(change->counting);
  close_counter(static_cast<int>(fd));
  EXPECT_FALSE(read_counter(static_cast<int>(fd), &value));
  EXPECT_FALSE(control_counter(static_cast<int>(fd), PERF_EVENT_IOC_ENABLE, &change));
  kernel_call(SYS_close, fd);
}

// Last in this file: it cannot be taken back, as in rr's process.
TEST(PerfCountersDeathTest, TouchesNothingWithHardwareCounters) {
  EXPECT_EXIT(
      {
        use_hardware_counters();
        bool touched = must_replace(branches(0)) || must_replace(branches(1000));
        unsigned long long value = 0;
        std::optional<CounterChange> change;
        for (int fd = 0; fd < 1024; ++fd) {
          touched |= read_counter(fd, &value) ||
                     control_counter(fd, PERF_EVENT_IOC_ENABLE, &change);
        }
        _exit(touched ? 1 : 0);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace culprit::agent
