#include "base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace culprit {

using std::chrono::duration;

namespace {

/// A line that wraps could not be erased any more.
std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
  return size.ws_col;
}

}  // namespace

Progress::Progress(Verbosity verbosity)
    : line_(verbosity != Verbosity::quiet && ::isatty(STDERR_FILENO) != 0),
      verbose_(verbosity == Verbosity::verbose),
      started_(Clock::now()),
      last_draw_(started_) {}

Progress::~Progress() {
  const std::lock_guard lock(mutex_);
  erase();
}

void Progress::phase(std::string_view name) {
  const std::lock_guard lock(mutex_);
  erase();
  phase_ = name;
  detail_.clear();
  hits_ = 0;
  started_ = Clock::now();
  if (verbose_) std::fprintf(stderr, "culprit: %s\n", phase_.c_str());
  draw(true);
}

void Progress::hits(std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  hits_ = count;
  draw(false);
}

void Progress::detail(std::string_view text) {
  const std::lock_guard lock(mutex_);
  detail_ = text;
  draw(false);
}

void Progress::tick() {
  const std::lock_guard lock(mutex_);
  draw(false);
}

void Progress::pause() {
  const std::lock_guard lock(mutex_);
  erase();
  phase_.clear();
}

void Progress::note(std::string_view line) {
  const std::lock_guard lock(mutex_);
  if (!verbose_) return;
  erase();
  std::fprintf(stderr, "culprit: %.*s\n", static_cast<int>(line.size()), line.data());
}

void Progress::draw(bool force) {
  if (!line_ || phase_.empty()) return;
  const auto now = Clock::now();
  if (!force && now - last_draw_ < std::chrono::milliseconds(100)) return;
  last_draw_ = now;
  const double seconds = duration<double>(now - started_).count();
  std::fprintf(stderr, "\r\033[Kculprit: %s  %.1f s", phase_.c_str(), seconds);
  if (hits_ > 0) std::fprintf(stderr, "  %llu hits", static_cast<unsigned long long>(hits_));
  if (!detail_.empty()) {
    const std::size_t used = phase_.size() + 24;  // "culprit: ", the time, the blanks
    const std::size_t columns = terminal_columns();
    const std::size_t room = columns > used ? columns - used : 0;
    std::fprintf(stderr, "  %.*s", static_cast<int>(std::min(room, detail_.size())),
                 detail_.c_str());
  }
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::erase() {
  if (!drawn_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace culprit
