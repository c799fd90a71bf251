#include "batch/worker_pool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include <algorithm>
#include <list>
#include <utility>
#include <vector>

#include "base/signals.h"

namespace culprit::batch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// So often the progress line is brought up to date while nothing else happens.
constexpr milliseconds kTick{200};
/// Of a child's stderr; what a program prints there goes through it, too.
constexpr std::size_t kErrorBytes = std::size_t{64} << 10;

struct Child {
  std::size_t index;
  Process process;
  Clock::time_point started;
  Clock::time_point deadline;
  bool ending = false;  ///< SIGTERM was sent; at `deadline` comes SIGKILL
};

class Pool {
 public:
  Pool(std::size_t count, const PoolWork& work, const PoolOptions& options)
      : count_(count), work_(work), options_(options) {}

  Status run() {
    while (next_ < count_ || !children_.empty()) {
      const Status status = step();
      if (status.ok()) continue;
      end_all();
      return status;
    }
    return {};
  }

 private:
  Status step() {
    CULPRIT_TRY(check_interrupt());
    while (next_ < count_ && children_.size() < std::max(1U, options_.workers)) {
      CULPRIT_TRY(start_next());
    }
    work_.tick(static_cast<unsigned>(children_.size()));
    CULPRIT_TRY(wait_for_something());
    enforce_limits();
    return collect();
  }

  Status start_next() {
    ProcessOptions options = work_.command(next_);
    options.err.kind = OutputMode::Kind::capture;
    options.err.limit = kErrorBytes;
    options.own_group = true;
    const auto now = Clock::now();
    Result<Process> process = Process::start(options);
    const std::size_t index = next_++;
    if (!process.ok()) {
      Finished finished;
      finished.index = index;
      finished.start_error = process.error().message;
      return work_.finished(finished);
    }
    children_.push_back({index, *std::move(process), now, now + options_.limit});
    return {};
  }

  Status wait_for_something() {
    auto wake = Clock::now() + kTick;
    std::vector<pollfd> polled{{interrupt_fd(), POLLIN, 0}};
    for (const Child& child : children_) {
      polled.push_back({child.process.exit_fd(), POLLIN, 0});
      wake = std::min(wake, child.deadline);
    }
    const auto left = std::chrono::ceil<milliseconds>(wake - Clock::now());
    const int timeout = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    if (::poll(polled.data(), polled.size(), timeout) < 0 && errno != EINTR) {
      return Error{ErrorCode::io, std::string("poll: ") + ::strerror(errno)};
    }
    return {};
  }

  void enforce_limits() {
    const auto now = Clock::now();
    for (Child& child : children_) {
      if (now < child.deadline) continue;
      if (child.ending) {
        child.process.kill();
      } else {
        child.process.signal(SIGTERM);
        child.ending = true;
        child.deadline = now + options_.grace;
      }
    }
  }

  Status collect() {
    for (auto child = children_.begin(); child != children_.end();) {
      CULPRIT_ASSIGN(const std::optional<ExitStatus> status,
                     child->process.wait(milliseconds(0), /*interruptible=*/false));
      if (!status) {
        ++child;
        continue;
      }
      Finished finished;
      finished.index = child->index;
      finished.status = *status;
      finished.timed_out = child->ending;
      finished.elapsed = std::chrono::duration_cast<milliseconds>(Clock::now() - child->started);
      finished.errors = child->process.captured_err().text;
      child = children_.erase(child);
      CULPRIT_TRY(work_.finished(finished));
    }
    return {};
  }

  // All at once, so that the time to clean up is one grace period and not one for each.
  void end_all() {
    for (Child& child : children_) child.process.signal(SIGTERM);
    const auto deadline = Clock::now() + options_.grace;
    for (Child& child : children_) {
      const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
      const auto ended =
          child.process.wait(std::max(left, milliseconds(0)), /*interruptible=*/false);
      if (!ended.ok() || !*ended) child.process.kill();
    }
    children_.clear();
  }

  std::size_t count_;
  const PoolWork& work_;
  const PoolOptions& options_;
  std::size_t next_ = 0;
  std::list<Child> children_;
};

}  // namespace

Status run_pool(std::size_t count, const PoolWork& work, const PoolOptions& options) {
  return Pool(count, work, options).run();
}

}  // namespace culprit::batch
