// What a long run shows on the terminal while it works. Silent where stderr is not a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace culprit {

/// One status line on stderr: phase, elapsed time, hits. Methods may be called from any thread.
/// The line is drawn at most ten times a second and erased by note(), pause() and the destructor.
class Progress {
 public:
  enum class Verbosity : std::uint8_t {
    quiet,    ///< nothing at all
    automatic,///< the status line if stderr is a terminal
    verbose,  ///< also one permanent line per phase, on any stderr
  };
  explicit Progress(Verbosity verbosity = Verbosity::automatic);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  /// A new phase, e.g. "recording, attempt 2 of 10".
  void phase(std::string_view name);
  /// How many events of interest the phase has seen so far.
  void hits(std::uint64_t count);
  /// What the line says after the phase and the time, cut to the terminal's width: counts, for
  /// example. It stays until the next phase(). A phase keeps its time.
  void detail(std::string_view text);
  /// Redraws the time; call it now and then.
  void tick();
  /// Erases the status line, so that another writer may use the terminal, until the next phase().
  void pause();
  /// A permanent line on stderr, if verbose.
  void note(std::string_view line);

 private:
  using Clock = std::chrono::steady_clock;
  void draw(bool force);
  void erase();

  std::mutex mutex_;
  bool line_ = false;     ///< a status line is wanted at all
  bool verbose_ = false;
  bool drawn_ = false;
  std::string phase_;
  std::string detail_;
  std::uint64_t hits_ = 0;
  Clock::time_point started_;
  Clock::time_point last_draw_;
};

}  // namespace culprit
